"""What settings.py says of who hears of deploys, and of what is never destroyed, in; frozen and checked values out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from deploymachine.settings_servers import Frozen, Name

SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,99}$")]
# Of a database, a site or a deployment.
ProtectedName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")]


class Webhook(Frozen):
    """Somebody who hears of deploys. secret: which secret holds the URL. when: after each, or those that failed only.

    sites: those it is told of; none: all.
    """

    secret: SecretName
    when: Literal["always", "failed"] = "always"
    sites: tuple[Name, ...] = ()
