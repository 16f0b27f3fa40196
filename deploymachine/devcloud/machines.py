"""What a server shall be goes in; a booted systemd-nspawn machine with systemd, sshd and cloud-init comes out.

A machine is an overlay on its image's tree. It outlives the daemon that started it and is found again by process id
and start time.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from deploymachine.devcloud import cgroups, image, network
from deploymachine.devcloud.layout import Layout, write_private
from deploymachine.devcloud.network import Plug
from deploymachine.devcloud.process import Process, alive, children, ended, identify, send
from deploymachine.devcloud.run import run, succeeds, system_environment
from deploymachine.errors import DevcloudError

POWER_OFF = signal.SIGRTMIN + 4  # what systemd, as the machine's process 1, takes for `systemctl poweroff`
NSPAWN_STATE = Path("/run/systemd/nspawn")
LOOP = 'while "$@"; [ $? = 133 ]; do :; done'  # nspawn ends with 133 when the machine reboots
SYSTEMD_HOST = Path("/run/systemd/system")


@dataclass(frozen=True)
class Machine:
    """id: the server's UUID. image: its name. user_data: as cloud-init shall see it. keys: public key lines."""

    id: str
    hostname: str
    image: str
    memory_mb: int
    plug: Plug
    user_data: str
    keys: tuple[str, ...]
    metadata: dict[str, str]


class Machines:
    """The wall to the operating system: everything here is real; tests without root put a fake in its place."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._trees: dict[str, Path] = {}

    def boot(self, machine: Machine) -> Process:
        """Prepare what is missing (image, disk, link) and start it. Returns nspawn's process, at once."""
        self.kill(machine.plug.number, None)
        disk = self._disk(machine.id)
        if not disk.exists():
            self._format(machine, self._tree(machine.image))
        self._mount(disk)
        network.plug(self.layout, machine.plug)
        return self._spawn(machine)

    def alive(self, process: Process | None) -> bool:
        return alive(process)

    def power_off(self, machine: Machine, process: Process | None, seconds: float = 20) -> None:
        """Through its own systemd, as a power button does; what doesn't listen is killed."""
        send(self._leader(process), POWER_OFF)
        ended(process, seconds)
        self.kill(machine.plug.number, process)

    def kill(self, number: int, process: Process | None) -> None:
        leader = self._leader(process)
        send(process, signal.SIGKILL)  # first the loop, so that it starts no other
        send(leader, signal.SIGKILL)  # and with process 1 of the machine all its others
        ended(leader, 5)
        cgroups.kill(self._cgroup(number))
        self._forget_propagation(self.layout.machine(number))

    def _leader(self, process: Process | None) -> Process | None:
        """Process 1 of the machine: our loop's child is nspawn, whose child it is."""
        if not alive(process) or process is None:
            return None
        found = [leader for nspawn in children(process.pid) for leader in children(nspawn)]
        return identify(found[0]) if found else None

    def kill_strays(self) -> None:
        """What carries our name and no state knows of."""
        cgroups.kill(self.layout.cgroup)
        self._forget_propagation(f"dc{self.layout.tag}-*")

    def _forget_propagation(self, machines: str) -> None:
        """nspawn leaves these directories behind where /run is no tmpfs. machines: a name or a pattern."""
        propagate = NSPAWN_STATE / "propagate"
        for directory in [*propagate.glob(machines), propagate]:
            if directory.is_dir() and not any(directory.iterdir()):
                directory.rmdir()

    def destroy(self, server_id: str, number: int, process: Process | None) -> None:
        """Kill it and free its link, cgroup, mount and disk. What is gone already doesn't matter."""
        self.kill(number, process)
        network.unplug(self.layout, number)
        cgroups.remove(self._cgroup(number))
        self.erase(server_id)

    def erase(self, server_id: str) -> None:
        disk = self._disk(server_id)
        forget_lock(disk / "root")
        unmount(disk / "root")
        shutil.rmtree(disk, ignore_errors=True)

    def console(self, server_id: str) -> str:
        file = self._disk(server_id) / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def memory_mb(self, number: int) -> int | None:
        used = cgroups.memory_bytes(self._cgroup(number))
        return None if used is None else used >> 20

    def float(self, pairs: list[tuple[str, str]]) -> None:
        """Which floating address leads to which machine's."""
        network.apply(self.layout, pairs)

    def serve(self, gateways: list[str], pairs: list[tuple[str, str]]) -> None:
        """The host's side of the networks. gateways: CIDRs."""
        network.set_up(self.layout, gateways, pairs)

    def _disk(self, server_id: str) -> Path:
        return self.layout.directory / "machines" / server_id

    def _cgroup(self, number: int) -> str:
        return f"{self.layout.cgroup}/{number}"

    def _tree(self, name: str) -> Path:
        """Looked up once: asking apt for its mirrors takes longer than starting a machine."""
        if name not in self._trees or not self._trees[name].exists():
            self._trees[name] = image.ensure(name, self.layout.images)
        return self._trees[name]

    def _format(self, machine: Machine, tree: Path) -> None:
        disk = self._disk(machine.id)
        for name in ("upper", "work", "root"):
            (disk / name).mkdir(parents=True)
        (disk / "lower").symlink_to(tree)
        self._mount(disk)
        root = disk / "root"
        root.chmod(0o755)
        (root / "etc/machine-id").write_text(uuid.UUID(machine.id).hex + "\n")
        (root / "etc/hostname").write_text(machine.hostname + "\n")
        self._write_resolvers(root, machine.plug.gateway)
        self._seed(root / "var/lib/cloud/seed/nocloud", machine)

    def _write_resolvers(self, root: Path, gateway: str) -> None:
        file = root / "etc/resolv.conf"
        file.unlink(missing_ok=True)
        file.write_text("".join(f"nameserver {server}\n" for server in network.resolvers(gateway).nameservers))

    def _seed(self, seed: Path, machine: Machine) -> None:
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

    def _mount(self, disk: Path) -> None:
        if not (disk / "root").is_mount():
            # "volatile" drops fsync, which package installs spend half their time in; only a crash of this host,
            # after which the kernel wants its marker removed, could cost a machine its latest writes.
            shutil.rmtree(disk / "work/work/incompat", ignore_errors=True)
            lower = (disk / "lower").resolve()
            options = f"lowerdir={lower},upperdir={disk}/upper,workdir={disk}/work,volatile"
            run(["mount", "-t", "overlay", "overlay", "-o", options, str(disk / "root")])

    def _spawn(self, machine: Machine) -> Process:
        name = self.layout.machine(machine.plug.number)
        argv = nspawn(name, self._disk(machine.id) / "root", machine.id)
        launcher = ["sh", "-c", LOOP, "sh"]
        if SYSTEMD_HOST.exists():  # systemd makes a scope, and limits it
            argv.insert(1, f"--property=MemoryMax={machine.memory_mb}M")
        else:
            groups = cgroups.create(self._cgroup(machine.plug.number), machine.memory_mb)
            launcher += [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
            launcher += [*map(str, groups), "--"]
            argv.insert(1, "--keep-unit")
        with (self._disk(machine.id) / "console.log").open("ab") as console:
            child = subprocess.Popen(
                [*launcher, *argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=system_environment(NSPAWN_ENVIRONMENT),
            )
        threading.Thread(target=child.wait, daemon=True).start()  # so that a dead machine leaves no zombie
        process = identify(child.pid)
        if process is None:
            raise DevcloudError("systemd-nspawn ended at once", evidence=self.console(machine.id).splitlines()[-12:])
        return process


NSPAWN_ENVIRONMENT = {
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # today's systemd knows no other, whatever the host mounts
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",  # /proc/sys/net is the machine's own: it has its own namespace
}


def nspawn(name: str, root: Path, server_id: str) -> list[str]:
    """The command line. No registration with machined, nothing borrowed from the host's files."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--register=no",
        f"--directory={root}",
        f"--machine={name}",
        f"--uuid={server_id}",
        "--boot",
        f"--network-namespace-path=/run/netns/{name}",
        "--capability=CAP_NET_ADMIN",  # nftables inside; nspawn gives it only with a network of its own
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--notify-ready=no",
        "--console=read-only",  # a terminal of its own: systemd and cloud-init write to nothing else
        "systemd.show_status=yes",  # on the console, as a virtual machine's shows it
    ]


def forget_lock(root: Path) -> None:
    """nspawn locks a tree by a file named after it, and leaves that behind."""
    if root.is_dir():
        facts = root.stat()
        (NSPAWN_STATE / f"locks/inode-{facts.st_dev}:{facts.st_ino}").unlink(missing_ok=True)


def unmount(root: Path) -> None:
    """Gone when this returns; lazily if something still looks into it."""
    if root.is_mount() and not succeeds(["umount", str(root)]):
        run(["umount", "--lazy", str(root)])
