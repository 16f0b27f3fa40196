"""`control_plane.py up|down|status|purge`: a real OpenStack on loopback, whose servers are devcloud's machines.

up makes what is missing and starts everything on empty databases; down ends all of it and keeps only what is slow to
make; purge removes that, too. Nothing on this machine is used, changed or left but the state directory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "plugins"))

import configuration
import devcloud_hypervisor as hypervisor
import processes
import programs
import seed
import services
import storage
from place import LISTENERS, Place, place

from deploymachine.devcloud import control
from deploymachine.errors import DeployMachineError

STORAGE = ("rabbit", "epmd", "mariadb")


def up(here: Place) -> None:
    """Raises DeployMachineError; what was started then is ended again, the logs stay."""
    control.check_machine()
    here.directory.mkdir(parents=True, exist_ok=True)
    with _locked(here):
        if here.ready.exists() and _all_alive(here):
            return
        _end(here)
        say = partial(_say, time.monotonic())
        try:
            _start(here, say)
        except BaseException:
            _end(here)
            raise


def _start(here: Place, say: partial[None]) -> None:
    programs.ensure(here, say)
    shutil.rmtree(here.log, ignore_errors=True)
    for directory in ("pids", "tmp", "home", "etc"):
        (here.run / directory).mkdir(parents=True, exist_ok=True)
    here.log.mkdir()
    processes.check_free(here, LISTENERS)
    configuration.write(here)
    seed.write_clouds(here)
    machines = hypervisor.prepare(here.hypervisor)
    storage.start_all(here, say)
    say("starting the services")
    services.start_all(here)
    seed.wait_for_hypervisor(here)
    services.map_hypervisor(here)
    say("making flavors, image and networks")
    seed.fill(here, hypervisor.IMAGE, machines.network, machines.floating)
    here.ready.touch()
    say("up")


def down(here: Place) -> None:
    """Works from what is on the machine, so whatever was killed before makes no difference."""
    if here.directory.exists():
        with _locked(here):
            _end(here)


def purge(here: Place) -> None:
    down(here)
    for directory in (here.cache, here.log):
        shutil.rmtree(directory, ignore_errors=True)
    if here.directory.exists() and not any(here.directory.iterdir()):
        here.directory.rmdir()


def status(here: Place) -> None:
    state = "up" if here.ready.exists() and _all_alive(here) else "not up"
    print(f"{state}: {here.directory}; running: {', '.join(sorted(processes.running(here))) or 'nothing'}")
    print(f"export OS_CLIENT_CONFIG_FILE={here.clouds} OS_CLOUD=demo")


def _all_alive(here: Place) -> bool:
    return all(processes.alive(here, name) for name in (*STORAGE, *services.DAEMONS, *services.APIS))


def _end(here: Place) -> None:
    """The machines' keeper first, then the machines, then what it all stood on."""
    known = processes.running(here)
    processes.stop(here, [name for name in known if name not in STORAGE])
    hypervisor.remove(here.hypervisor)
    processes.stop(here, [name for name in known if name in STORAGE])
    processes.stop_inside(here.debian)
    shutil.rmtree(here.run, ignore_errors=True)


def _say(began: float, words: str) -> None:
    print(f"[{time.monotonic() - began:5.1f} s] {words}", flush=True)


@contextmanager
def _locked(here: Place) -> Iterator[None]:
    """The directory itself, so that no lock file stays behind."""
    descriptor = os.open(here.directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main(words: list[str]) -> int:
    commands = {"up": up, "down": down, "purge": purge, "status": status}
    if len(words) != 1 or words[0] not in commands:
        print(f"usage: control_plane.py {'|'.join(commands)}", file=sys.stderr)
        return 2
    try:
        commands[words[0]](place())
    except DeployMachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
