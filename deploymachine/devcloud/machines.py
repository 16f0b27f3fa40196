"""What a server shall be goes in; a booted systemd-nspawn machine with systemd, sshd and cloud-init comes out.

It outlives the daemon that started it and is found again by process id and start time.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from deploymachine.devcloud import aptcache, blockdevices, cgroups, disks, image, network, nspawn
from deploymachine.devcloud.layout import Layout, write_private
from deploymachine.devcloud.links import Links
from deploymachine.devcloud.network import Plug
from deploymachine.devcloud.process import Process, alive, ended, send


@dataclass(frozen=True)
class Machine:
    """id: the server's UUID. image: a release's name. user_data: as cloud-init shall see it. keys: public key lines.

    snapshot: the id of the one it boots from instead of the plain image. root: the id of the volume that is its root
    disk instead. volumes: pairs (volume id, "/dev/vdb"). more_plugs: of its links beside the first.
    """

    id: str
    hostname: str
    image: str
    memory_mb: int
    plug: Plug
    user_data: str
    keys: tuple[str, ...]
    metadata: dict[str, str]
    snapshot: str | None = None
    root: str | None = None
    volumes: tuple[tuple[str, str], ...] = ()
    more_plugs: tuple[Plug, ...] = ()


class Machines(Links):
    """The wall to the operating system: everything here is real; tests without root put a fake in its place."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._trees: dict[str, Path] = {}

    # running

    def boot(self, machine: Machine) -> Process:
        """Prepare what is missing (image, disk, devices, link) and start it. Returns nspawn's process, at once."""
        number, disk = machine.plug.number, self._disk(machine.id)
        self.kill(number, None)
        fresh = not disk.exists()
        if fresh:
            disks.create(disk, [] if machine.root else self.layers(machine.image, machine.snapshot))
        disks.mount(disk, blockdevices.device(self._volume(machine.root)) if machine.root else None)
        if fresh:
            self._introduce(machine, disk / "root")
        self._bind(machine)
        network.plug(self.layout, machine.plug, *machine.more_plugs)
        name = self.layout.machine(number)
        return nspawn.start(disk, name, machine.id, machine.memory_mb, self._cgroup(number))

    def alive(self, process: Process | None) -> bool:
        return alive(process)

    def power_off(self, machine: Machine, process: Process | None, seconds: float = 20) -> None:
        """Through its own systemd, as a power button does; what doesn't listen is killed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            send(nspawn.leader(process), nspawn.POWER_OFF)  # again and again: one that just began to boot misses it
            if ended(process, 0.5):
                break
        self.kill(machine.plug.number, process)

    def kill(self, number: int, process: Process | None) -> None:
        leader = nspawn.leader(process)
        send(process, signal.SIGKILL)  # first the loop, so that it starts no other
        send(leader, signal.SIGKILL)  # and with process 1 of the machine all its others
        ended(leader, 5)
        cgroups.kill(self._cgroup(number))
        nspawn.forget_propagation(self.layout.machine(number))

    def kill_strays(self) -> None:
        """What carries our name and no state knows of."""
        cgroups.kill(self.layout.cgroup)
        nspawn.forget_propagation(f"dc{self.layout.tag}-*")

    def destroy(self, server_id: str, number: int, process: Process | None) -> None:
        """Kill it and free its link, cgroup, mount and disk. What is gone already doesn't matter."""
        self.kill(number, process)
        network.unplug(self.layout, number)
        cgroups.remove(self._cgroup(number))
        self.erase(server_id)

    def erase(self, server_id: str) -> None:
        disk = self._disk(server_id)
        nspawn.forget_lock(disk / "root")
        disks.unmount(disk / "root")
        shutil.rmtree(disk, ignore_errors=True)

    def console(self, server_id: str) -> str:
        file = self._disk(server_id) / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def memory_mb(self, number: int) -> int | None:
        used = cgroups.memory_bytes(self._cgroup(number))
        return None if used is None else used >> 20

    # snapshots

    def layers(self, name: str, snapshot: str | None = None) -> list[Path]:
        """Of a release's image, or of a snapshot; the topmost first."""
        return disks.of_snapshot(self._snapshot(snapshot)) if snapshot else [self._tree(name)]

    def save(self, server_id: str, number: int, snapshot: str) -> int:
        """The machine's disk as a snapshot of that id; a running machine stands still meanwhile. Returns its bytes."""
        place = self._snapshot(snapshot)
        with cgroups.frozen(self._cgroup(number)):
            disks.save(self._disk(server_id), place)
        for tree in disks.lowers(place):
            if tree.parent == self.layout.images:
                image.hold(tree, f"{self.layout.tag}-{snapshot}")
        return disks.size(place)

    def forget(self, snapshot: str) -> None:
        """What is gone already doesn't matter."""
        shutil.rmtree(self._snapshot(snapshot), ignore_errors=True)
        shutil.rmtree(self._snapshot(snapshot).with_suffix(".part"), ignore_errors=True)
        image.release(self.layout.images, f"{self.layout.tag}-{snapshot}")

    # volumes

    def make_volume(self, volume: str, size_gb: int, layers: list[Path], source: str | None = None) -> None:
        """Empty; or with what an image's layers hold; or a copy of another volume."""
        file = self._volume(volume)
        if source is not None:
            blockdevices.copy(self._volume(source), file)
            blockdevices.extend(file, size_gb)
            return
        blockdevices.create(file, size_gb)
        if layers:
            with disks.merged(layers, self.layout.directory / "merged" / volume) as tree:
                blockdevices.fill(file, tree)

    def extend_volume(self, volume: str, size_gb: int) -> None:
        blockdevices.extend(self._volume(volume), size_gb)

    def delete_volume(self, volume: str) -> None:
        """Raises DevcloudError while something uses it."""
        self.release_volume(volume)
        self._volume(volume).unlink(missing_ok=True)

    def attach(self, machine: Machine, process: Process | None, volume: str, device: str) -> None:
        """machine: with the new volume among its own."""
        self._bind(machine)
        init = nspawn.init(process)
        if init is not None:
            blockdevices.show(init.pid, blockdevices.device(self._volume(volume)), device, alias(volume))

    def detach(self, machine: Machine, process: Process | None, volume: str, device: str) -> None:
        """machine: without it. Raises DevcloudError if the machine doesn't let go of it."""
        self._bind(machine)
        init = nspawn.init(process)
        if init is not None:
            blockdevices.hide(init.pid, device, alias(volume))
        self.release_volume(volume)

    def release_volume(self, volume: str) -> None:
        """Free its device. Raises DevcloudError while something uses it."""
        blockdevices.release(self._volume(volume))

    def release_volumes(self) -> None:
        """Free the device of every volume there is."""
        for file in (self.layout.directory / "volumes").glob("*"):
            blockdevices.release(file)

    # where things are

    def _disk(self, server_id: str) -> Path:
        return self.layout.directory / "machines" / server_id

    def _snapshot(self, identity: str) -> Path:
        return self.layout.directory / "snapshots" / identity

    def _volume(self, identity: str) -> Path:
        return self.layout.directory / "volumes" / identity

    def _cgroup(self, number: int) -> str:
        return f"{self.layout.cgroup}/{number}"

    def _tree(self, name: str) -> Path:
        """Looked up once: asking apt for its mirrors takes longer than starting a machine."""
        if name not in self._trees or not self._trees[name].exists():
            self._trees[name] = image.ensure(name, self.layout.images)
        return self._trees[name]

    # a disk's first moments

    def _introduce(self, machine: Machine, root: Path) -> None:
        """Who it is, as far as it must know before cloud-init runs."""
        root.chmod(0o755)
        (root / "etc/machine-id").write_text(uuid.UUID(machine.id).hex + "\n")
        (root / "etc/hostname").write_text(machine.hostname + "\n")
        _write_resolvers(root, machine.plug.gateway)
        if aptcache.configured(self.layout):
            aptcache.introduce(self.layout, root)
        _seed(root / "var/lib/cloud/seed/nocloud", machine)

    def _bind(self, machine: Machine) -> None:
        """Write down, for the next boot, which device of this host is which of the machine's."""
        lines = [
            f"{blockdevices.device(self._volume(volume))}:{device}\n"
            for volume, device in machine.volumes
            if volume != machine.root
        ]
        (self._disk(machine.id) / "binds").write_text("".join(lines))


def alias(volume: str) -> str:
    """Where virtio disks are found by their volume's id."""
    return f"/dev/disk/by-id/virtio-{volume[:20]}"


def _write_resolvers(root: Path, gateway: str) -> None:
    file = root / "etc/resolv.conf"
    file.unlink(missing_ok=True)
    file.write_text("".join(f"nameserver {server}\n" for server in network.resolvers(gateway).nameservers))


def _seed(seed: Path, machine: Machine) -> None:
    """What cloud-init's NoCloud source reads; user-data often carries a private host key."""
    seed.mkdir(parents=True, exist_ok=True)
    facts = {
        "instance-id": machine.id,
        "local-hostname": machine.hostname,
        "public-keys": list(machine.keys),
        "meta": machine.metadata,
    }
    write_private(seed / "meta-data", json.dumps(facts))
    write_private(seed / "user-data", machine.user_data)
