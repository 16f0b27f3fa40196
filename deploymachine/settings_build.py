"""What settings.py says of how a site is built in, checked values out: packages, commands, what variables refer to."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

if TYPE_CHECKING:
    from deploymachine.settings import Site

# ${NAME} in a value of "environment" stands for what the site is told anyway; $${ is a plain ${.
REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
SCP_LIKE = re.compile(r"[^/:\s]+:(?!//)\S+")  # git@host:team/site.git
OF_THE_DATABASE = tuple(f"DATABASE_{part}" for part in ("URL", "HOST", "PORT", "NAME", "USER", "PASSWORD"))
OF_CELERY = ("BROKER_URL",)
REFERENCES = (
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "SITE_URL",
    "SITE_SHARED",
    "CACHE_URL",
    *OF_CELERY,
    *OF_THE_DATABASE,
)

Extra = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=64)]
DebianPackage = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]+$", max_length=100)]


def _words(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"is no command: {error}") from None
    if not words:
        raise ValueError("is empty: it is what follows `manage.py`")
    if words[0] in ("manage.py", "python") or words[0].endswith("/manage.py"):
        raise ValueError(f"begins with {words[0]!r}: it is what follows `manage.py`")
    return command


MigrateTimeout = Annotated[int, Field(ge=1, le=7 * 86_400)]
# Who gets the code: the servers where anybody may read it, else whoever types; always they; the servers, with a key.
Fetch = Literal["auto", "push", "deploy-key"]
BuildCommand = Annotated[str, AfterValidator(_words)]


def check(sites: Mapping[str, Site]) -> None:
    """Raises ValueError where a site's environment refers to what it is not told, or no key could fetch its code."""
    for name, site in sites.items():
        if site.fetch == "deploy-key" and not is_ssh(site.repository):
            raise ValueError(
                f"SITES[{name!r}]['fetch']: a deploy key is for a repository that is fetched over SSH, "
                f"such as git@host:team/{name}.git (it is {site.repository!r})"
            )
        for variable, value in site.environment.items():
            for word in references(value) if isinstance(value, str) else ():
                _check_reference(f"SITES[{name!r}]['environment'][{variable!r}]", word, site)


def is_ssh(repository: str) -> bool:
    """Whether git reaches it over SSH: ssh://host/path, or host:path as scp has it."""
    return repository.startswith("ssh://") or SCP_LIKE.fullmatch(repository) is not None


def references(value: str) -> list[str]:
    """The names that a value refers to."""
    return [found[1] for found in REFERENCE.finditer(value) if found[1] is not None]


def _check_reference(where: str, word: str, site: Site) -> None:
    if word not in REFERENCES:
        close = difflib.get_close_matches(word.upper(), REFERENCES, n=1)
        means = f"; did you mean ${{{close[0]}}}?" if close else f": there are {', '.join(REFERENCES)}"
        raise ValueError(f"{where}: nothing is called ${{{word}}}{means} ($${{ stands for a plain ${{)")
    if word in OF_THE_DATABASE and site.database is None:
        raise ValueError(f"{where}: ${{{word}}} needs the site's 'database'")
    if word in OF_CELERY and site.celery is None:
        raise ValueError(f"{where}: ${{{word}}} needs the site's 'celery'")
