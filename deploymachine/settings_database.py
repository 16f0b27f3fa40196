"""What settings.py says of databases in, frozen and checked values out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from deploymachine.settings_servers import Frozen, Identifier

Connections = Annotated[int, Field(ge=20, le=10_000)]


class Database(Frozen):
    """One PostgreSQL database on the dbserver; its password is made on first use.

    pooling: when pgbouncer gives a connection to the next: after a "session", or after each "transaction".
    postgis: whether it has that extension.
    """

    owner: Identifier
    pooling: Literal["session", "transaction"] = "session"
    postgis: bool = False


class BackupS3(Frozen):
    """Object storage for backups besides the dbserver's own disk.

    secret_file: where the secret key lies, on this machine. uri_style: how the bucket is named to the endpoint, in
    front of its "host" or in the "path".
    """

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    endpoint: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?$")]
    region: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]
    key: Annotated[str, StringConstraints(pattern=r"^[!-~]+$")]
    secret_file: Annotated[str, StringConstraints(min_length=1)]
    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]*$")] = "/"
    uri_style: Literal["host", "path"] = "host"
