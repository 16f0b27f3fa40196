"""Facts about this server, each looked up when first asked for, from /proc and /etc without starting a process."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import ClassVar, Dict, List, Optional

from kokki.paths import system_path

__all__ = ["System"]

_ARCHITECTURES = {**dict.fromkeys(["i386", "i486", "i586", "i686"], "x86_32"), "amd64": "x86_64"}
_LOOPBACK = "127."


class System:
    """os, arch, machine, platform, lsb, locales, hostname, fqdn, cpus, memory_mb, interfaces, ipv4, …"""

    _instance: ClassVar[Optional[System]] = None

    @classmethod
    def get_instance(cls) -> System:
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    @cached_property
    def os(self) -> str:
        return {"linux": "linux", "darwin": "darwin"}.get(sys.platform, "unknown")

    @cached_property
    def machine(self) -> str:
        return os.uname().machine

    @cached_property
    def arch(self) -> str:
        return _ARCHITECTURES.get(self.machine, self.machine)

    @cached_property
    def release(self) -> Dict[str, str]:
        """/etc/os-release as a dict."""
        found: Dict[str, str] = {}
        for line in _text("/etc/os-release").splitlines():
            key, equals, value = line.partition("=")
            if equals:
                found[key.strip()] = value.strip().strip("\"'")
        return found

    @cached_property
    def platform(self) -> str:
        """debian, ubuntu, fedora, …: the distribution's id."""
        return self.release.get("ID", "unknown")

    @cached_property
    def family(self) -> str:
        """redhat where packages are rpm's and come by dnf; debian elsewhere."""
        named = {self.platform, *self.release.get("ID_LIKE", "").split()}
        return "redhat" if named & {"rhel", "fedora", "centos"} else "debian"

    @cached_property
    def lsb(self) -> Dict[str, str]:
        release = self.release
        return {
            "id": release.get("NAME", "").replace(" GNU/Linux", ""),
            "release": release.get("VERSION_ID", ""),
            "codename": release.get("VERSION_CODENAME", ""),
            "description": release.get("PRETTY_NAME", ""),
        }

    @cached_property
    def locales(self) -> List[str]:
        """C, POSIX and what is compiled in /usr/lib/locale, as `locale -a` names them."""
        from kokki import process

        try:
            return process.run(["locale", "-a"]).output.split()
        except Exception:  # a system without the command has the two that C has built in
            return ["C", "POSIX"]

    @cached_property
    def hostname(self) -> str:
        return os.uname().nodename

    @cached_property
    def fqdn(self) -> str:
        """The first full name that /etc/hosts gives this host, else its hostname."""
        for line in _text("/etc/hosts").splitlines():
            names = line.split("#")[0].split()[1:]
            if self.hostname in names or any(name.startswith(f"{self.hostname}.") for name in names):
                return next((name for name in names if name.startswith(f"{self.hostname}.")), self.hostname)
        return self.hostname

    @cached_property
    def cpus(self) -> int:
        return len(os.sched_getaffinity(0))

    @cached_property
    def memory_mb(self) -> int:
        """What there is for us: the machine's memory, or the control group's limit if that is less."""
        machine = int(_text("/proc/meminfo").split("MemTotal:")[1].split()[0]) // 1024
        limit = _text("/sys/fs/cgroup/memory.max").strip()
        return min(machine, int(limit) // 2**20) if limit.isdigit() else machine

    @cached_property
    def interfaces(self) -> Dict[str, List[str]]:
        """Interface -> its IPv4 addresses ([] for one without)."""
        import socket

        return {name: _addresses(name) for _index, name in socket.if_nameindex()}

    @cached_property
    def ipv4(self) -> List[str]:
        """Every IPv4 address but loopback's, in the interfaces' order."""
        found = (address for addresses in self.interfaces.values() for address in addresses)
        return [address for address in found if not address.startswith(_LOOPBACK)]

    @cached_property
    def virtualization(self) -> str:
        """lxc, systemd-nspawn, docker, kvm, …, or '' on bare metal."""
        container = _text("/run/systemd/container").strip() or _environment_of_init().get("container", "")
        if container:
            return container
        vendor = _text("/sys/class/dmi/id/sys_vendor").strip().lower()
        known = {"qemu": "kvm", "openstack": "kvm", "amazon ec2": "amazon", "vmware": "vmware", "xen": "xen"}
        return next((kind for name, kind in known.items() if name in vendor), "")

    @cached_property
    def vm(self) -> str:
        return self.virtualization

    @cached_property
    def ec2(self) -> bool:
        return self.virtualization == "amazon"

    @cached_property
    def python(self) -> str:
        return ".".join(str(part) for part in sys.version_info[:3])


def _text(path: str) -> str:
    """A file's text; '' when it can't be read."""
    try:
        with open(system_path(path), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _environment_of_init() -> Dict[str, str]:
    pairs = (entry.partition("=") for entry in _text("/proc/1/environ").split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def _addresses(interface: str) -> List[str]:
    """The interface's IPv4 addresses by SIOCGIFADDR (its first) — labels such as eth0:1 are interfaces of their own."""
    import fcntl
    import socket
    import struct

    siocgifaddr = 0x8915
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), siocgifaddr, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return []
    return [socket.inet_ntoa(answer[20:24])]
