"""The deployment's servers in OpenStack: settings in; boot, list, delete and console out.

This package alone imports openstacksdk, and only once a cloud is really asked, so that `fab --list` stays quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from deploymachine.cloud import describe, foresee, groups, hostkeys, opened
from deploymachine.cloud.bake import BAKED
from deploymachine.cloud.boot import Booting
from deploymachine.cloud.change import Changes
from deploymachine.cloud.kill import DELETING, GONE
from deploymachine.cloud.leaks import Leak
from deploymachine.cloud.owned import Belongings
from deploymachine.cloud.progress import (
    ACTIVE,
    BUILD,
    CLOUD_INIT,
    EXISTS,
    FAILED,
    SSH,
    Agree,
    Progress,
    never,
    nobody_watches,
)
from deploymachine.cloud.specs import Asked, BootSpec, boot_spec, check_not_fixed, counted
from deploymachine.cloud.watch import console_lines
from deploymachine.cloud.words import explained
from deploymachine.inventory import Inventory, Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

__all__ = [
    "ACTIVE",
    "BAKED",
    "BUILD",
    "CLOUD_INIT",
    "DELETING",
    "EXISTS",
    "FAILED",
    "GONE",
    "SSH",
    "Asked",
    "Belongings",
    "BootSpec",
    "Cloud",
    "Leak",
    "Progress",
    "boot_spec",
    "check_not_fixed",
    "connect",
    "counted",
]


def connect(settings: Settings) -> Cloud:
    """Log in to the cloud the settings name. Raises CloudError (no such cloud, credentials, unreachable, ...)."""
    from deploymachine.cloud.login import log_in

    return Cloud(settings, log_in(settings))


class Cloud(Changes):
    """One deployment in one project of a cloud; servers of others are never seen and never touched."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self.settings = settings
        self.connection = connection
        self.warnings: tuple[str, ...] = ()

    def servers(self) -> Inventory:
        """The deployment's servers, in whatever state. Raises CloudError.

        One API call, two on clouds that tell a server's flavor by id only (microversion below 2.47).
        """
        raws = self._raws()
        flavors: dict[str, Flavor] = {}
        if any(not describe.has_flavor(raw) for raw in raws):
            with explained("The flavors can't be listed"):
                flavors = {flavor.id: flavor for flavor in self.connection.compute.flavors()}
        return Inventory(describe.server(raw, self.settings.private_network, flavors) for raw in raws)

    def boot(
        self,
        names: Sequence[str | BootSpec],
        progress: Progress = nobody_watches,
        agree: Agree = never,
        *,
        wait_for_ssh: bool = True,
    ) -> list[Server]:
        """Boot the servers named, in parallel; those that run are kept, those that are broken are mended.

        progress(name, phase) is called from several threads: BUILD, ACTIVE, CLOUD_INIT, and in the end SSH, or EXISTS
        for what is up already, or FAILED. agree(question) is asked, before all that, about each server that has to be
        deleted to mend it. A misspelt image, flavor or network raises before anything is made; afterwards every server
        is tried and one CloudError tells what failed. `warnings` then holds what the user should know besides. Raises
        UsageError, too.
        """
        specs = [name if isinstance(name, BootSpec) else boot_spec(self.settings, name) for name in names]
        booting = Booting(self.settings, self.connection, self._every, progress, agree, wait_for_ssh=wait_for_ssh)
        try:
            return booting.run(specs)
        finally:
            self.warnings = tuple(dict.fromkeys(booting.warnings))

    def keep_groups(self) -> None:
        """Make the security groups what settings.py and the servers there are ask for. Raises CloudError."""
        if raws := self._raws():
            groups.keep(self.connection, self.settings, raws, ())

    def open_for_a_while(
        self, kinds: Iterable[str], port: int, protocol: str, sources: Sequence[str], until: datetime
    ) -> None:
        """Have the groups of these types let `sources` (networks) in at the port until then. Raises CloudError."""
        opened.add(self.connection, self.settings, kinds, port, protocol, sources, until)

    def foresee(self, names: Sequence[str]) -> None:
        """Look whether servers that are to be booted could be; nothing is made. Raises CloudError, UsageError."""
        foresee.check(self.connection, self.settings, [boot_spec(self.settings, name) for name in names])

    def lacking_rules(self) -> list[str]:
        """What the deployment's security groups should let in and do not, in words."""
        return foresee.lacking_rules(self.connection, self.settings)

    def pin_host_keys(self, servers: Iterable[Server]) -> None:
        """Pin the host keys that the cloud's metadata holds for servers of which none is pinned here."""
        hostkeys.pin_missing(self.settings, servers)

    def publish_host_keys(self) -> None:
        """Write the keys that provisioning made into the servers' metadata, where other machines find them.

        Raises CloudError.
        """
        hostkeys.publish(self.connection, self.settings, self.servers())

    def console_log(self, name: str, lines: int | None = None) -> str:
        """What the server wrote on its console, its last `lines` lines. Raises UsageError, CloudError."""
        return "\n".join(console_lines(self.connection, self.servers().named(name).id, lines))

    def close(self) -> None:
        """Give the connections back."""
        self.connection.close()

    def _raws(self) -> list[RawServer]:
        return [raw for raw in self._every() if describe.is_of(raw, self.settings.DEPLOYMENT)]

    def _every(self) -> list[RawServer]:
        """All the servers of the project, others' as well."""
        with explained("The servers can't be listed"):
            every = list(self.connection.compute.servers())
        return [raw for raw in every if raw.status not in ("DELETED", "SOFT_DELETED")]
