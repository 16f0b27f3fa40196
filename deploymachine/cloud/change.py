"""What a Cloud does to servers that are there: deleted with all they own, rebuilt, resized; and what nobody uses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from deploymachine import adminkeys
from deploymachine.cloud import describe, groups, kill, leaks, lookup, owned, placement
from deploymachine.cloud import retype as notes
from deploymachine.cloud.bake import BAKED, Baking, baked, current
from deploymachine.cloud.each import Clock, on_each, raise_failures
from deploymachine.cloud.leaks import Leak
from deploymachine.cloud.owned import Belongings
from deploymachine.cloud.progress import FAILED, Progress, nobody_watches
from deploymachine.cloud.rework import Rework, check, image_of
from deploymachine.cloud.watch import Watch
from deploymachine.cloud.words import explained
from deploymachine.hostkeys import HostKeys, locked
from deploymachine.inventory import Inventory, Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.flavor import Flavor
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection

    from deploymachine.cloud.bake import Seal

BAKE_TIMEOUT = 1800  # seconds
OFF_TIMEOUT = 180  # a cloud asks the server to end first, and waits a minute or so


class Changes:
    """The part of a Cloud that changes servers; the rest of it knows which there are."""

    settings: Settings
    connection: Connection

    @abstractmethod
    def servers(self) -> Inventory:
        """The deployment's servers."""

    @abstractmethod
    def _raws(self) -> list[RawServer]:
        """The same as the cloud tells them."""

    def delete(self, names: Sequence[str], progress: Progress = nobody_watches) -> None:
        """Delete the servers named, with all that they owned and their pinned keys; waits until they are gone.

        progress(name, phase): DELETING, then GONE or FAILED. With a type's last server go its groups.
        Raises UsageError for a name of which nothing is there (nothing is deleted then), CloudError that tells each
        failure.
        """
        self.belongings(names)
        # A boot at the same time would find servers that are about to go.
        with locked(self.settings.state / "boot.lock"):
            raws = self._raws()
            doomed = [raw for raw in raws if raw.name in names]
            kill.kill(self.settings, self.connection, names, doomed, progress)
            left = {raw.metadata.get(describe.TYPE, "") for raw in raws if raw not in doomed}
            groups.remove(self.connection, self.settings, left)
            placement.remove_server_groups(self.connection, self.settings, left)
            # Last: as long as anything is unfinished, a repeat of the same command knows every name.
            for name in names:
                HostKeys(self.settings).unpin(name)

    def retype(self, kinds: Mapping[str, str]) -> None:
        """Have servers (name -> type) be of another type, and in its security groups; repeatable. Raises CloudError."""
        with locked(self.settings.state / "boot.lock"):
            notes.retype(self.connection, self.settings, self._raws(), kinds)

    def set_aside(self, names: Sequence[str]) -> None:
        """Have servers be of no deployment for now. Raises CloudError."""
        notes.set_aside(self.connection, self.settings, self._raws(), names)

    def bring_back(self, names: Sequence[str]) -> None:
        """Have servers that were set aside be of the deployment again. Raises CloudError."""
        notes.bring_back(self.connection, self.settings, names)

    def aside(self) -> list[str]:
        """The names of the servers that were set aside. Raises CloudError."""
        return [str(raw.name) for raw in notes.aside(self.connection, self.settings)]

    def switch_off(self, name: str) -> None:
        """Have the server be off, and stay so until somebody starts it. Raises UsageError, CloudError."""
        raw, watch = self._raw(name), Watch(self.settings, self.connection)

        def one(_name: str, clock: Clock) -> None:
            if raw.status != "SHUTOFF":
                with explained(f"{name} can't be switched off", raw.id):
                    self.connection.compute.stop_server(raw.id)
                watch.until_off(name, raw.id, clock)

        outcomes = on_each([name], one, OFF_TIMEOUT)
        raise_failures("could not be switched off", 1, outcomes.errors)

    def belongings(self, names: Sequence[str]) -> dict[str, Belongings]:
        """What each of the servers takes with it, and what stays; a name may be that of leftovers alone.

        Raises UsageError for a name of which nothing is there, CloudError.
        """
        raws, found = self._raws(), owned.survey(self.connection, self.settings)
        for name in names:
            if name not in {raw.name for raw in raws} and not owned.left_over(found, self.settings, name):
                self.servers().named(name)
        return {name: found.of(name, [raw for raw in raws if raw.name == name]) for name in names}

    def leaks(self, *, baked: bool = False) -> list[Leak]:
        """What bears the deployment's mark and nobody uses; with `baked` its images, too. Raises CloudError."""
        return leaks.find(self.connection, self.settings, baked=baked)

    def delete_leaks(self, found: Sequence[Leak]) -> None:
        """Delete what `leaks` found. Raises CloudError that tells each failure."""
        # A boot at the same time makes things that nobody uses yet.
        with locked(self.settings.state / "boot.lock"):
            leaks.delete(self.connection, self.settings, found)

    def rebuild(self, name: str, image: str | None = None, progress: Progress = nobody_watches) -> Server:
        """Put the server's image, or another, on its disk anew; pins its new host key. Raises UsageError, CloudError.

        progress(name, phase): REBUILD, ACTIVE, SSH, or FAILED.
        """
        raw = self._raw(name)
        admin_keys = adminkeys.read(self.settings)
        return self._rework(name, progress, lambda work: work.rebuild(raw, image, admin_keys))

    def check_rebuild(self, name: str, image: str | None = None) -> None:
        """Raises UsageError or CloudError where the server or the image is not there."""
        image_of(self.connection, self._raw(name), image)

    def resize(self, name: str, flavor: str, progress: Progress = nobody_watches) -> Server:
        """Give the server another flavor; what does not come up with it is put back. Raises UsageError, CloudError.

        progress(name, phase): RESIZE, confirm or put back, ACTIVE, SSH, or FAILED.
        """
        raw, found = self.check_resize(name, flavor)
        return self._rework(name, progress, lambda work: work.resize(raw, found))

    def check_resize(self, name: str, flavor: str) -> tuple[RawServer, Flavor]:
        """The server and the flavor. Raises UsageError or CloudError where one is not there or they do not fit."""
        raw = self._raw(name)
        found = lookup.flavors(self.connection, [flavor])[flavor]
        check(raw, found)
        return raw, found

    def _raw(self, name: str) -> RawServer:
        identity = self.servers().named(name).id
        return next(raw for raw in self._raws() if raw.id == identity)

    def _rework(self, name: str, progress: Progress, work: Callable[[Rework], Server]) -> Server:
        watch = Watch(self.settings, self.connection)

        def one(_name: str, clock: Clock) -> Server:
            try:
                return work(Rework(watch, clock, progress))
            except Exception:
                progress(name, FAILED)
                raise

        outcomes = on_each([name], one, self.settings.OPENSTACK_BOOT_TIMEOUT)
        raise_failures("could not be changed", 1, outcomes.errors)
        return outcomes.results[name]

    def bake(self, name: str, fingerprint: str, seal: Seal, progress: Progress = nobody_watches) -> str:
        """Make an image of the server for the next of its type; its name. Raises UsageError, CloudError.

        seal(copy, token) makes a copy of the server nobody's. progress(name, phase): snapshot, copy, seal, image,
        baked, or FAILED.
        """
        raw = self._raw(name)
        # Snapshots are as slow as disks are large.
        seconds = max(BAKE_TIMEOUT, self.settings.OPENSTACK_BOOT_TIMEOUT)
        watch = Watch(self.settings, self.connection)

        def one(_name: str, clock: Clock) -> str:
            try:
                image = Baking(watch, clock, progress, fingerprint).run(raw, seal)
            except BaseException:
                progress(name, FAILED)
                raise
            progress(name, BAKED)
            return str(image.name)

        with locked(self.settings.state / "bake.lock"):
            outcomes = on_each([name], one, seconds)
        raise_failures("could not be baked", 1, outcomes.errors)
        return outcomes.results[name]

    def baked_image(self, kind: str, fingerprint: Callable[[], str]) -> tuple[str | None, str | None]:
        """(id, name) of the baked image that servers of the type are to boot from; fingerprint: of what is cooked now.

        The id is None where the newest one there is was made of other cookbooks or another image, both are None where
        there is none. Raises CloudError.
        """
        if not (every := baked(self.connection, self.settings, kind)):
            return None, None
        base = lookup.image(self.connection, self.settings.OPENSTACK_IMAGE).id
        found = current(self.connection, self.settings, kind, fingerprint(), base)
        return (found.id, found.name) if found is not None else (None, every[0].name)
