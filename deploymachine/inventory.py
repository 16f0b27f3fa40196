"""Which servers there are: frozen Servers, and an Inventory to choose from by type or name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from deploymachine.errors import UsageError

if TYPE_CHECKING:
    from deploymachine.settings import Settings


@dataclass(frozen=True)
class Server:
    """One machine: its name, type and addresses, and what the cloud says of it.

    state: the cloud's word ("ACTIVE", "BUILD", "SHUTOFF", "ERROR", ...).
    image, flavor: names where the cloud tells them, else ids. memory_mb and cpus are the flavor's (0: unknown).
    id: the cloud's; "" for a server that SERVERS in settings.py names. user, port: how to log in there, where it is not
    as DEPLOY_USERNAME on SSH_PORT. created: when it was booted, as the cloud writes it (ISO 8601). host_key: the public
    key that the cloud's metadata holds for it; "" where it holds none.
    """

    name: str
    type: str
    private_ip: str = ""
    public_ip: str = ""
    state: str = "ACTIVE"
    id: str = ""
    flavor: str = ""
    image: str = ""
    memory_mb: int = 0
    cpus: int = 0
    user: str = ""
    port: int = 0
    created: str = ""
    host_key: str = ""

    @property
    def address(self) -> str:
        """The address to log in at: the public one where there is one."""
        return self.public_ip or self.private_ip

    def age(self) -> float | None:
        """Seconds since it was booted; None where nobody tells."""
        made = moment(self.created)
        return None if made is None else (datetime.now(timezone.utc) - made).total_seconds()

    @property
    def booted(self) -> float:
        """When, in seconds since 1970; 0 where nobody tells, as of a server that no cloud booted."""
        made = moment(self.created)
        return 0.0 if made is None else made.timestamp()

    @property
    def where(self) -> str:
        """The server as messages name it."""
        return f"{self.name} ({self.address})" if self.address else self.name


def moment(written: str) -> datetime | None:
    """The time that a cloud wrote as "2026-01-31T12:00:00Z"; None where that can't be read."""
    try:
        found = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


def fixed(settings: Settings) -> list[Server]:
    """The servers that SERVERS names."""
    return [
        Server(one.name, kind, private_ip=str(one.ip), user=one.user or "", port=one.port or 0)
        for kind, servers in settings.SERVERS.items()
        for one in servers
    ]


class Inventory:
    """The deployment's servers, sorted by name."""

    def __init__(self, servers: Iterable[Server]) -> None:
        self.servers = tuple(sorted(servers, key=lambda server: server.name))

    def __iter__(self) -> Iterator[Server]:
        return iter(self.servers)

    def __len__(self) -> int:
        return len(self.servers)

    def named(self, name: str) -> Server:
        """The server of that name. Raises UsageError with a suggestion."""
        found = next((server for server in self.servers if server.name == name), None)
        if found is None:
            names = [server.name for server in self.servers]
            close = difflib.get_close_matches(name, names, n=1)
            raise UsageError(
                f"There is no server {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
                why=f"the servers there are: {', '.join(names) or 'none'}",
                hint=f"`fab openstack_boot {name}` boots it, when settings.py names it",
            )
        return found

    def of_type(self, kind: str) -> tuple[Server, ...]:
        """The servers whose type is exactly `kind`, as the selecting tasks choose them."""
        return tuple(server for server in self.servers if server.type == kind)

    def serving(self, part: str) -> tuple[Server, ...]:
        """The servers that do the work of `part`: of that type, or of a combined type that holds it."""
        from deploymachine import servertypes

        return tuple(server for server in self.servers if part in servertypes.parts(server.type))
