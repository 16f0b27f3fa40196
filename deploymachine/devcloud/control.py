"""A deployment's directory goes in; a running devcloud and its entry in clouds.yaml come out; or nothing stays."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploymachine.devcloud import aptcache, cgroups, cloudsyaml, host, image, layout, network, process
from deploymachine.devcloud.assets import Image
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.process import Process
from deploymachine.devcloud.run import has_tool
from deploymachine.devcloud.state import FLAVORS, Port, Server, Store
from deploymachine.errors import DevcloudError

TOOLS = {  # command: Debian package
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "mount": "mount",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
}
DAEMON = ("-m", "deploymachine.devcloud.daemon")
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """A machine as `status` shows it. memory_mb: used now, None if it can't be told."""

    name: str
    state: str
    address: str
    image: str
    flavor: str
    memory_mb: int | None


@dataclass(frozen=True)
class Status:
    """url: the API's, None if this devcloud is down. answering: whether the API's process lives."""

    directory: Path
    url: str | None
    answering: bool
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        if self.url is None:
            return f"devcloud is down ({self.directory})"
        api = "answers" if self.answering else "does not answer: `fab devcloud_up` starts it again"
        head = f"devcloud is up: {self.url} {api}; state in {self.directory}"
        return "\n".join([head, *_table(self.rows)] if self.rows else [head, "no servers"])


def up(directory: Path, progress: Progress = print) -> bool:
    """Bring it up and name it in directory/clouds.yaml. Returns whether anything had to be changed.

    Raises DevcloudError: no Linux, no root, tools missing, a clouds.yaml that lacks the entry, no image, held by
    another deployment.
    """
    check_machine()
    cloudsyaml.check(directory)
    state = layout.state_directory()
    check_holder(state, directory)
    if running(state) is None:
        image.ensure(image.DEFAULT, layout.images_directory(), progress)
    with host.locked():
        place = layout.load(state)
        if place is None:
            place = layout.choose(state, host.neighbours())
            place.save()
        host.enter(place)
        changed = running(state) is None
        if changed:
            _start_daemon(place, progress)
        changed = _start_cache(place, progress) or changed
    _remember(place, directory)
    changed = cloudsyaml.write(directory, place) or changed
    progress(f"devcloud is up: {place.url}" if changed else f"devcloud is already up: {place.url}")
    return changed


def down(progress: Progress = print, *, purge: bool = False, directory: Path | None = None) -> None:
    """End every machine and leave nothing but the image cache; with purge not even that.

    Works from what is on the machine, so a killed daemon or machine makes no difference. directory: the deployment
    that asks, None for whoever may.
    """
    check_machine(tools=False)
    state = layout.state_directory()
    if directory is not None:
        check_holder(state, directory)
    place = layout.load(state) or host.remains(state)
    if place is None:
        progress(f"devcloud is down already ({state})")
    else:
        with host.locked():
            process.end(running(state))
            aptcache.end(place)
            _end_machines(place, progress)
            network.tear_down(place)
            cgroups.remove(place.cgroup)
            host.leave(place)
            for directory in _remembered(state):
                cloudsyaml.remove(directory)
            _erase(place)
        progress("devcloud is down")
    if purge:
        aptcache.purge(layout.images_directory())
        image.purge(layout.images_directory())


def reset(directory: Path, progress: Progress = print) -> None:
    """Back to an empty cloud: what its first day had stays, and so do its address, password and image cache.

    Raises DevcloudError where there is none, or it is another deployment's.
    """
    check_machine()
    state = layout.state_directory()
    check_holder(state, directory)
    place = layout.load(state)
    if place is None:
        raise DevcloudError("devcloud is down", where=str(state), hint="fab devcloud_up")
    with host.locked():
        process.end(running(state))
        _end_machines(place, progress)
        network.tear_down(place)
        for name in ("machines", "snapshots", "volumes"):
            shutil.rmtree(state / name, ignore_errors=True)
        (state / "state.json").unlink(missing_ok=True)
        _start_daemon(place, progress)
    progress("devcloud is empty")


def status() -> Status:
    """What runs, from the state on disk: it needs no API."""
    state = layout.state_directory()
    place = layout.load(state)
    if place is None:
        return Status(state, None, False, ())
    machines = Machines(place)
    store = Store(state / "state.json")
    ports = {port.device_id: port for port in store.all(Port) if port.place == 0}  # whose number is the machine's
    images = {one.id: one.name for one in store.all(Image)}
    rows = [
        _row(server, images.get(server.image_id, "(volume)"), ports.get(server.id), machines)
        for server in store.all(Server)
    ]
    return Status(state, place.url, running(state) is not None, tuple(rows))


def running(state: Path) -> Process | None:
    """The daemon of that state directory, if it is alive."""
    return process.find(*DAEMON, str(state))


def check_machine(*, tools: bool = True) -> None:
    """Raises DevcloudError where devcloud can't work."""
    if not sys.platform.startswith("linux"):
        why = "its machines are Linux containers"
        raise DevcloudError("devcloud needs Linux", why=why, hint="name a real cloud in clouds.yaml instead")
    if os.geteuid() != 0:
        why = "it makes network links, mounts and machines"
        raise DevcloudError("devcloud needs root", why=why, hint="repeat as root: sudo -E env PATH=$PATH fab ...")
    if tools and not all(importlib.util.find_spec(module) for module in ("flask", "waitress")):
        hint = "pip install 'deploymachine[devcloud]'"
        raise DevcloudError("devcloud lacks Python packages", why="its API is served by Flask and waitress", hint=hint)
    missing = sorted({package for tool, package in TOOLS.items() if not has_tool(tool)}) if tools else []
    if missing:
        why = f"these packages are not installed: {', '.join(missing)}"
        hint = f"apt-get install --no-install-recommends {' '.join(missing)}"
        raise DevcloudError("devcloud lacks tools", why=why, hint=hint)


def check_holder(state: Path, directory: Path) -> None:
    """Raises DevcloudError where another deployment's devcloud is in that state directory."""
    for other in _remembered(state):
        if other != directory.resolve() and (other / "clouds.yaml").exists():
            raise DevcloudError(
                "another deployment's devcloud holds this state directory",
                where=str(state),
                why=f"it was brought up in {other}",
                hint="fab devcloud_down there, or name another here: DEPLOYMACHINE_DEVCLOUD_DIR=/var/lib/NAME",
            )


def _start_daemon(place: Layout, progress: Progress) -> None:
    progress("starting the API")
    log = place.directory / "daemon.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, *DAEMON, str(place.directory)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 30
    while not _answers(place):
        if child.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()[-8:]
            raise DevcloudError("the API did not start", where=str(log), evidence=lines)
        time.sleep(0.05)
    child.returncode = 0  # it is meant to outlive us; without this Python warns that it still runs


def _start_cache(place: Layout, progress: Progress) -> bool:
    """Whether it had to be; without it machines work as well, but each fetches its packages itself."""
    try:
        return aptcache.ensure(place)
    except DevcloudError as error:
        progress(f"{error}: machines fetch their packages themselves")
        return False


def _answers(place: Layout) -> bool:
    try:
        with urllib.request.urlopen(f"{place.url}/identity/v3", timeout=2) as answer:  # noqa: S310 - our own URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end_machines(place: Layout, progress: Progress) -> None:
    """What the state knows, then whatever else carries our name: the state may be newer or older than the truth."""
    machines = Machines(place)
    store = Store(place.directory / "state.json")
    servers = {server.id: server for server in store.all(Server)}
    for port in store.all(Port):
        if port.device_id in servers and port.place == 0:  # more links than that go with the network
            progress(f"ending {servers[port.device_id].name}")
            machines.destroy(port.device_id, port.number, servers[port.device_id].process)
    machines.kill_strays()
    for disk in (place.directory / "machines").glob("*"):
        machines.erase(disk.name)
    machines.release_volumes()
    image.release(place.images, f"{place.tag}-*")


def _erase(place: Layout) -> None:
    """The state directory but for the image cache, which may be inside."""
    if not place.directory.exists():
        return
    for entry in place.directory.iterdir():
        if entry == place.images or entry in place.images.parents:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not any(place.directory.iterdir()):
        place.directory.rmdir()


def _remember(place: Layout, directory: Path) -> None:
    """Whose it is, so that no other deployment takes it, and down can take its entry out of clouds.yaml."""
    (place.directory / "deployments.json").write_text(json.dumps([str(directory.resolve())]))


def _remembered(state: Path) -> list[Path]:
    file = state / "deployments.json"
    return [Path(path) for path in json.loads(file.read_text())] if file.exists() else []


def _row(server: Server, name: str, port: Port | None, machines: Machines) -> Row:
    dead = server.status == "ACTIVE" and not machines.alive(server.process)
    flavor = next(flavor.name for flavor in FLAVORS if flavor.id == server.flavor_id)
    memory = machines.memory_mb(port.number) if port and server.process and not dead else None
    return Row(server.name, "SHUTOFF" if dead else server.status, port.address if port else "", name, flavor, memory)


def _table(rows: tuple[Row, ...]) -> list[str]:
    cells = [("NAME", "STATE", "ADDRESS", "IMAGE", "FLAVOR", "MEMORY")]
    for row in rows:
        memory = "" if row.memory_mb is None else f"{row.memory_mb} MB"
        cells.append((row.name, row.state, row.address, row.image, row.flavor, memory))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
