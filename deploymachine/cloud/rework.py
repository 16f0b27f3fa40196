"""A server and another image or flavor in, the same server with it out: rebuilt with a new host key, or resized."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploymachine.cloud import cloudinit, describe, lookup, userdata
from deploymachine.cloud.each import Clock
from deploymachine.cloud.progress import ACTIVE, SSH, Progress
from deploymachine.cloud.watch import Watch, fault, not_usable, pauses
from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError, DeployMachineError, UsageError
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

REBUILD, RESIZE, CONFIRM, REVERT = "REBUILD", "RESIZE", "confirm", "put back"
MOST_LOOKS = 40  # for the last step of a resize, some two minutes
USER_DATA_SINCE = "2.57"  # the compute microversion from which a rebuild may bring new user-data


@dataclass(frozen=True)
class Rework:
    """Work on one server. progress(name, phase): REBUILD or RESIZE, ..., ACTIVE, SSH."""

    watch: Watch
    clock: Clock
    progress: Progress

    @property
    def connection(self) -> Connection:
        return self.watch.connection

    def rebuild(self, raw: RawServer, image: str | None, admin_keys: tuple[str, ...]) -> Server:
        """Put `image` (None: the server's own) on the server's disk; its new host key is pinned. Raises CloudError."""
        image_id, image_name = image_of(self.connection, raw, image)
        key = self._told_to_rebuild(raw, image_id, image_name, admin_keys)
        server = self._described(self.watch.until_active(raw.name, raw.id, self.clock))
        hostkeys = HostKeys(self.watch.settings)
        for port in self.watch.ports if key else ():
            hostkeys.pin(server.name, server.address, port, key)
        return self._answering(server, first_boot=True)

    def resize(self, raw: RawServer, flavor: Flavor) -> Server:
        """Give the server another flavor; what does not come up with it is put back. Raises CloudError."""
        self.progress(raw.name, RESIZE)
        with explained(f"{raw.name} can't be resized to {flavor.name}", raw.id):
            self.connection.compute.resize_server(raw.id, flavor.id)
        resized = self._until_resized(raw, flavor)
        server = self._described(resized)
        if resized.status == "VERIFY_RESIZE":
            self._proven(server, raw, flavor)
            self.progress(raw.name, CONFIRM)
            with explained(f"The new size of {raw.name} can't be confirmed", raw.id):
                self.connection.compute.confirm_server_resize(raw.id)
        return self._answering(self._described(self._until_status(raw, "ACTIVE")))

    def _told_to_rebuild(self, raw: RawServer, image_id: str, image_name: str, admin_keys: tuple[str, ...]) -> str:
        """Start the rebuild; the public host key that the server will have, "" where nobody knows it.

        Where the cloud is too old for new user-data the first one is applied again, and with it the first key.
        """
        from openstack.utils import supports_microversion

        metadata = {**raw.metadata, describe.IMAGE: image_name}
        more = {}
        if supports_microversion(self.connection.compute, USER_DATA_SINCE):
            new = userdata.new_host_key()
            metadata[describe.HOST_KEY] = new.public
            config = userdata.cloud_config(raw.name, new, admin_keys)
            more["user_data"] = base64.b64encode(config.encode()).decode()
        self.progress(raw.name, REBUILD)
        with explained(f"{raw.name} can't be rebuilt", raw.id):
            self.connection.compute.rebuild_server(raw.id, image_id, metadata=metadata, **more)
        return str(metadata.get(describe.HOST_KEY, ""))

    def _described(self, raw: RawServer) -> Server:
        return describe.server(raw, self.watch.settings.private_network, {})

    def _answering(self, server: Server, *, first_boot: bool = False) -> Server:
        self.progress(server.name, ACTIVE)
        port = self.watch.until_ssh(server, self.clock)
        if first_boot:  # in which cloud-init restarts sshd
            cloudinit.until_done(server, port, self.watch.settings, self.clock)
        self.progress(server.name, SSH)
        return server

    def _until_resized(self, raw: RawServer, flavor: Flavor) -> RawServer:
        """The server once it stands with its new flavor. Raises CloudError where the cloud did not give it that."""
        before = describe.flavor_name(raw.flavor)
        for looks, pause in enumerate(pauses()):
            now = self.watch.look(raw.name, raw.id, self.clock)
            if now is not None and now.task_state is None:
                if now.status == "VERIFY_RESIZE":
                    return now
                if now.status == "ERROR":
                    raise CloudError(
                        f"{raw.name} ended in ERROR while it was resized",
                        where=raw.id,
                        why=fault(now),
                        hint=f"`fab openstack_boot {raw.name}` tries to bring it back",
                    )
                if now.status == "ACTIVE" and describe.flavor_name(now.flavor) != before:
                    return now  # the cloud confirms by itself
                if now.status == "ACTIVE" and looks > 0:
                    raise self._not_given(raw, flavor)
            if self.clock.expired():
                raise CloudError(f"{raw.name} is still being resized", where=raw.id, hint="run the same command again")
            self.clock.sleep(pause)
        raise AssertionError  # pauses never end

    def _not_given(self, raw: RawServer, flavor: Flavor) -> CloudError:
        return CloudError(
            f"The cloud did not give {raw.name} the flavor {flavor.name}; it runs as before",
            where=raw.id,
            why=self._last_failure(raw) or "it says no reason; mostly no host has room for it",
        )

    def _last_failure(self, raw: RawServer) -> str:
        """What the cloud noted about the latest action that failed; "" where it does not tell."""
        try:
            actions = [one for one in self.connection.compute.server_actions(raw.id) if one.action == "resize"]
        except Exception:  # the reason is an extra: that it can't be had must not hide the failure
            return ""
        said = str(actions[0].message or "") if actions else ""
        return "" if said == "Error" else said  # all that Nova tells a project of most failures

    def _proven(self, server: Server, raw: RawServer, flavor: Flavor) -> None:
        """Wait for SSH on the resized server; put the old size back where it does not come."""
        try:
            self.watch.until_ssh(server, self.clock)
        except DeployMachineError as error:
            self.progress(raw.name, REVERT)
            with explained(f"The old size of {raw.name} can't be put back", raw.id):
                self.connection.compute.revert_server_resize(raw.id)
            self._until_status(raw, "ACTIVE")
            raise CloudError(
                f"{raw.name} did not come up with the flavor {flavor.name}; its old one was put back",
                where=error.where,
                why=error.why or error.what,
                evidence=error.evidence,
            ) from None

    def _until_status(self, raw: RawServer, wanted: str) -> RawServer:
        """The server once it has that status and nothing goes on. Raises CloudError."""
        for looks, pause in enumerate(pauses()):
            now = self.watch.look(raw.name, raw.id, self.clock)
            if now is not None and now.status == wanted and now.task_state is None:
                return now
            if now is not None and now.status == "ERROR":
                raise not_usable(now)
            # A server that is put back has used up its time already: this goes by looks.
            if looks > MOST_LOOKS:
                raise CloudError(f"{raw.name} is not {wanted} yet", where=raw.id, hint="run the same command again")
            self.clock.stop.wait(pause)
        raise AssertionError  # pauses never end


def check(raw: RawServer, flavor: Flavor) -> None:
    """Raises UsageError for a flavor that changes nothing, or that the server's disk does not fit into."""
    own = raw.flavor
    if flavor.id == getattr(own, "id", None) or flavor.name == describe.flavor_name(own):
        raise UsageError(f"{raw.name} has the flavor {flavor.name} already")
    disk, new = int(getattr(own, "disk", None) or 0), int(flavor.disk or 0)
    if disk and new and new < disk:
        raise UsageError(
            f"{raw.name} does not fit into {flavor.name}",
            why=f"its disk has {disk} GB, that of {flavor.name} {new} GB, and no cloud makes disks smaller",
        )


def image_of(connection: Connection, raw: RawServer, wanted: str | None) -> tuple[str, str]:
    """Id and name of the image to rebuild from, its own where none is wanted. Raises UsageError, CloudError."""
    own = getattr(raw.image, "id", None)
    hint = f"name one: `fab openstack_rebuild {raw.name} --image NAME`"
    if wanted is None and not own:
        raise UsageError(
            f"Which image is {raw.name} to be rebuilt from?",
            why="it boots from a volume, and the cloud does not tell what that was made of",
            hint=hint,
        )
    try:
        found = lookup.image(connection, wanted or str(own))
    except CloudError as error:
        if wanted is not None:
            raise
        raise CloudError(
            f"The image that {raw.name} was booted from is gone", where=error.where, why=error.what, hint=hint
        ) from None
    return str(found.id), str(found.name)
