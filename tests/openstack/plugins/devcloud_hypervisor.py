"""What Nova and Neutron decided goes in; devcloud's machines, links, rules and addresses on this host come out.

The one place where the control plane meets devcloud. Machines are known by their server's id, from a file each; so is
what Neutron last said, because a machine is wired to it whenever either changes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from devcloud_wiring import Networks, wiring

from deploymachine.devcloud import cgroups, host, image, layout, network
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machine, Machines
from deploymachine.devcloud.network import Plug
from deploymachine.devcloud.process import Process

IMAGE = image.DEFAULT
DIRECTORY = "DEPLOYMACHINE_OPENSTACK_HYPERVISOR"  # where nova-compute and Neutron are told it is


@dataclass(frozen=True)
class Link:
    """A port as a machine sees it. address: with its prefix length."""

    address: str
    gateway: str
    mac: str


@dataclass(frozen=True)
class Guest:
    """A machine and, once it was booted, nspawn's process."""

    machine: Machine
    process: Process | None = None

    @property
    def plugs(self) -> tuple[Plug, ...]:
        return (self.machine.plug, *self.machine.more_plugs)


class Hypervisor:
    """The machines of one directory."""

    def __init__(self, place: Layout) -> None:
        self.place = place
        self.machines = Machines(place)
        self._lock = threading.Lock()

    def define(self, server_id: str, links: Sequence[Link], image_id: str, **facts: Any) -> Guest:
        """A guest that is not there yet. image_id: Glance's, which may be a snapshot of ours. facts: Machine's."""
        with self._lock:
            taken = {plug.number for guest in self.guests() for plug in guest.plugs}
            free = (number for number in range(1, 1000) if number not in taken)
            first, *more = [Plug(next(free), link.address, link.gateway, link.mac) for link in links]
            snapshot = image_id if self._saved(image_id).exists() else None
            machine = Machine(id=server_id, plug=first, more_plugs=tuple(more), snapshot=snapshot, **facts)
            return self._save(Guest(machine))

    def boot(self, guest: Guest) -> None:
        """Raises DevcloudError."""
        process = self.machines.boot(guest.machine)
        self._save(replace(guest, process=process))
        self.wire()

    def resize(self, guest: Guest, memory_mb: int) -> Guest:
        """Of a machine that is off."""
        return self._save(replace(guest, machine=replace(guest.machine, memory_mb=memory_mb)))

    def alive(self, server_id: str) -> bool:
        guest = self.guest(server_id)
        return guest is not None and self.machines.alive(guest.process)

    def power_off(self, guest: Guest) -> None:
        self.machines.power_off(guest.machine, guest.process)

    def kill(self, guest: Guest) -> None:
        self.machines.kill(guest.machine.plug.number, guest.process)

    def destroy(self, server_id: str) -> None:
        """Nothing stays of it. What is gone already doesn't matter."""
        guest = self.guest(server_id)
        if guest is None:
            return
        self.machines.destroy(server_id, guest.machine.plug.number, guest.process)
        for plug in guest.machine.more_plugs:
            network.unplug(self.place, plug.number)
        self._file(server_id).unlink(missing_ok=True)
        self.wire()

    def save(self, server_id: str, image_id: str) -> None:
        """The machine's disk, for those that boot from that image."""
        guest = self.guest(server_id)
        if guest is not None:
            self.machines.save(server_id, guest.machine.plug.number, image_id)

    def console(self, server_id: str) -> str:
        return self.machines.console(server_id)

    def wire(self, told: Networks | None = None) -> None:
        """Put in force what Neutron said last, or says now, for the machines there are."""
        file = self.place.directory / "networks.json"
        with _only_one(self.place.directory):
            if told is not None:
                layout.write_private(file, json.dumps(told))
            networks: Networks = json.loads(file.read_text()) if file.exists() else {}
            plugs = {plug.mac: plug.number for guest in self.guests() for plug in guest.plugs}
            self.machines.serve(wiring(networks, plugs, self.place.floating))

    def guest(self, server_id: str) -> Guest | None:
        try:
            row = json.loads(self._file(server_id).read_text())
        except FileNotFoundError:
            return None
        facts = row["machine"]
        machine = Machine(
            **{
                **facts,
                "plug": _plug(facts["plug"]),
                "more_plugs": tuple(map(_plug, facts["more_plugs"])),
                "keys": tuple(facts["keys"]),
            }
        )
        return Guest(machine, Process(**row["process"]) if row["process"] else None)

    def guests(self) -> list[Guest]:
        found = (self.guest(file.stem) for file in self._file("").parent.glob("*.json"))
        return [guest for guest in found if guest is not None]

    def _save(self, guest: Guest) -> Guest:
        layout.write_private(self._file(guest.machine.id), json.dumps(asdict(guest)))
        return guest

    def _file(self, server_id: str) -> Path:
        return self.place.directory / "guests" / f"{server_id}.json"

    def _saved(self, image_id: str) -> Path:
        return self.place.directory / "snapshots" / image_id


def _plug(row: dict[str, Any]) -> Plug:
    return Plug(**{**row, "pairs": tuple(row["pairs"])})


def opened(directory: Path | None = None) -> Hypervisor:
    """The one that `prepare` made."""
    place = layout.load(directory or Path(os.environ[DIRECTORY]))
    if place is None:
        raise FileNotFoundError(f"no hypervisor in {directory}")
    return Hypervisor(place)


def prepare(directory: Path) -> Layout:
    """Networks chosen free on this host, the image built."""
    image.ensure(IMAGE, layout.images_directory(), print)
    with host.locked():
        place = layout.choose(directory)
        place.save()
        (directory / "guests").mkdir()
        host.enter(place)
        Machines(place).serve(wiring(_to_be(place), {}, place.floating))
    return place


def _to_be(place: Layout) -> Networks:
    """What Neutron will be told; held at once, so that nobody else finds it free."""
    return {"subnets": [{"cidr": place.network, "gateway": str(IPv4Network(place.network)[1]), "outside": False}]}


def remove(directory: Path) -> None:
    """Every machine, mount, link, rule and file of it, from what is on this host."""
    place = layout.load(directory) or host.remains(directory)
    if place is None:
        return
    with host.locked():
        here = Hypervisor(place)
        for guest in here.guests():
            here.machines.destroy(guest.machine.id, guest.machine.plug.number, guest.process)
        here.machines.kill_strays()
        for disk in (directory / "machines").glob("*"):
            here.machines.erase(disk.name)
        network.tear_down(place)
        cgroups.remove(place.cgroup)
        host.leave(place)
    image.release(place.images, f"{place.tag}-*")
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Nova and Neutron wire from a process each."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
