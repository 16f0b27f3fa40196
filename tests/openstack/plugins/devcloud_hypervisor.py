"""What Nova and Neutron decided goes in; devcloud's machines, links and floating addresses on this host come out.

The one place where the control plane meets devcloud. Machines are known by their server's id, from a file each.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from deploymachine.devcloud import cgroups, host, image, layout, network
from deploymachine.devcloud.firewall import Wiring
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machine, Machines
from deploymachine.devcloud.network import Plug
from deploymachine.devcloud.process import Process

IMAGE = image.DEFAULT
DIRECTORY = "DEPLOYMACHINE_OPENSTACK_HYPERVISOR"  # where nova-compute and Neutron are told it is


@dataclass(frozen=True)
class Guest:
    """A machine and, once it was booted, nspawn's process."""

    machine: Machine
    process: Process | None = None

    @property
    def number(self) -> int:
        return self.machine.plug.number


class Hypervisor:
    """The machines of one directory."""

    def __init__(self, place: Layout) -> None:
        self.place = place
        self.machines = Machines(place)
        self._lock = threading.Lock()

    def first(self, server_id: str, **facts: object) -> Guest:
        """A guest that is not there yet, with the lowest free number. facts: what Machine and Plug are made of."""
        with self._lock:
            taken = {guest.number for guest in self.guests()}
            number = next(number for number in range(1, 1000) if number not in taken)
            plug = Plug(number, *(str(facts.pop(name)) for name in ("address", "gateway", "mac")))
            return self._save(Guest(Machine(id=server_id, plug=plug, **facts)))  # type: ignore[arg-type]

    def boot(self, guest: Guest) -> None:
        """Raises DevcloudError."""
        self._save(Guest(guest.machine, self.machines.boot(guest.machine)))

    def alive(self, server_id: str) -> bool:
        guest = self.guest(server_id)
        return guest is not None and self.machines.alive(guest.process)

    def power_off(self, guest: Guest) -> None:
        self.machines.power_off(guest.machine, guest.process)

    def kill(self, guest: Guest) -> None:
        self.machines.kill(guest.number, guest.process)

    def destroy(self, server_id: str) -> None:
        """Nothing stays of it. What is gone already doesn't matter."""
        guest = self.guest(server_id)
        if guest is not None:
            self.machines.destroy(server_id, guest.number, guest.process)
            self._file(server_id).unlink(missing_ok=True)

    def console(self, server_id: str) -> str:
        return self.machines.console(server_id)

    def float(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Which floating address leads to which machine's; those not named lead nowhere."""
        self.machines.guard(Wiring(floating=tuple(pairs), unguarded=True))

    def guest(self, server_id: str) -> Guest | None:
        try:
            row = json.loads(self._file(server_id).read_text())
        except FileNotFoundError:
            return None
        plug = Plug(**row["machine"].pop("plug"))
        machine = Machine(**{**row["machine"], "plug": plug, "keys": tuple(row["machine"]["keys"])})
        return Guest(machine, Process(**row["process"]) if row["process"] else None)

    def guests(self) -> list[Guest]:
        found = (self.guest(file.stem) for file in self._file("").parent.glob("*.json"))
        return [guest for guest in found if guest is not None]

    def _save(self, guest: Guest) -> Guest:
        layout.write_private(self._file(guest.machine.id), json.dumps(asdict(guest)))
        return guest

    def _file(self, server_id: str) -> Path:
        return self.place.directory / "guests" / f"{server_id}.json"


def opened(directory: Path | None = None) -> Hypervisor:
    """The one that `prepare` made."""
    place = layout.load(directory or Path(os.environ[DIRECTORY]))
    if place is None:
        raise FileNotFoundError(f"no hypervisor in {directory}")
    return Hypervisor(place)


def prepare(directory: Path) -> Layout:
    """Networks chosen free on this host, their gateways up, the image built."""
    image.ensure(IMAGE, layout.images_directory(), print)
    with host.locked():
        place = layout.choose(directory)
        place.save()
        (directory / "guests").mkdir()
        host.enter(place)
        floating = IPv4Network(place.floating)
        # machines have a route each; the floating addresses are one
        gateways = [f"{gateway(place.network)}/32", f"{gateway(place.floating)}/{floating.prefixlen}"]
        Machines(place).serve(Wiring(gateways=tuple(gateways), unguarded=True))
    return place


def gateway(cidr: str) -> str:
    return str(IPv4Network(cidr)[1])


def remove(directory: Path) -> None:
    """Every machine, mount, link, rule and file of it, from what is on this host."""
    place = layout.load(directory) or host.remains(directory)
    if place is None:
        return
    with host.locked():
        here = Hypervisor(place)
        for guest in here.guests():
            here.destroy(guest.machine.id)
        here.machines.kill_strays()
        for disk in (directory / "machines").glob("*"):
            here.machines.erase(disk.name)
        network.tear_down(place)
        cgroups.remove(place.cgroup)
        host.leave(place)
    shutil.rmtree(directory, ignore_errors=True)
