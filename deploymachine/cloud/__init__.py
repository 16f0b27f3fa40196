"""The deployment's servers in OpenStack: settings in; boot, list, delete and console out.

This package alone imports openstacksdk, and only once a cloud is really asked, so that `fab --list` stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import describe, groups, kill
from deploymachine.cloud.boot import ACTIVE, BUILD, EXISTS, FAILED, SSH, Booting, Progress, console_lines
from deploymachine.cloud.kill import DELETING, GONE
from deploymachine.cloud.specs import BootSpec, boot_spec
from deploymachine.cloud.words import explained
from deploymachine.inventory import Inventory, Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

__all__ = [
    "ACTIVE",
    "BUILD",
    "DELETING",
    "EXISTS",
    "FAILED",
    "GONE",
    "SSH",
    "BootSpec",
    "Cloud",
    "Progress",
    "boot_spec",
    "connect",
]


def _quiet(_name: str, _phase: str) -> None:
    """Progress that nobody watches."""


def connect(settings: Settings) -> Cloud:
    """Log in to the cloud the settings name. Raises CloudError (no such cloud, credentials, unreachable, ...)."""
    from deploymachine.cloud.login import log_in

    return Cloud(settings, log_in(settings))


class Cloud:
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
        return Inventory(describe.server(raw, self.settings.OPENSTACK_NETWORK, flavors) for raw in raws)

    def boot(
        self, names: Sequence[str | BootSpec], progress: Progress = _quiet, *, wait_for_ssh: bool = True
    ) -> list[Server]:
        """Boot the servers named, in parallel; those that exist are kept. Returns all of them, in that order.

        progress(name, phase) is called from several threads: BUILD, ACTIVE, and in the end SSH, or EXISTS for what is
        up already, or FAILED.
        A misspelt image, flavor or network raises before anything is made; afterwards every server is tried and one
        CloudError tells what failed. `warnings` then holds what the user should know besides. Raises UsageError too.
        """
        specs = [name if isinstance(name, BootSpec) else boot_spec(self.settings, name) for name in names]
        booting = Booting(self.settings, self.connection, self._raws, progress, wait_for_ssh=wait_for_ssh)
        try:
            return booting.run(specs)
        finally:
            self.warnings = tuple(booting.warnings)

    def delete(self, names: Sequence[str], progress: Progress = _quiet) -> None:
        """Delete the servers named, with their floating IPs and pinned keys; waits until they are gone.

        progress(name, phase): DELETING, then GONE or FAILED. With the deployment's last server goes its security group.
        Raises UsageError for a name that is not there (nothing is deleted then), CloudError that tells each failure.
        """
        inventory = self.servers()
        wanted = {inventory.named(name).name for name in names}
        kill.kill(self.settings, self.connection, [raw for raw in self._raws() if raw.name in wanted], progress)
        if wanted and not self._raws():
            groups.remove(self.connection, self.settings)

    def console_log(self, name: str, lines: int | None = None) -> str:
        """What the server wrote on its console, its last `lines` lines. Raises UsageError, CloudError."""
        return "\n".join(console_lines(self.connection, self.servers().named(name).id, lines))

    def close(self) -> None:
        """Give the connections back."""
        self.connection.close()

    def _raws(self) -> list[RawServer]:
        with explained("The servers can't be listed"):
            every = list(self.connection.compute.servers())
        gone = ("DELETED", "SOFT_DELETED")
        return [
            raw
            for raw in every
            if (raw.metadata or {}).get(describe.DEPLOYMENT) == self.settings.DEPLOYMENT and raw.status not in gone
        ]
