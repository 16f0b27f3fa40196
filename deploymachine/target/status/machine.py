"""The machine itself, from /proc, /sys and /etc: load, memory, disks, its system, whether it wants a reboot."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, Iterator, List, Tuple

ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
REBOOT = "run/reboot-required"


def told() -> Dict[str, Any]:
    """Memory and disks in bytes."""
    return {
        "load": list(os.getloadavg()),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": memory(),
        "disks": disks(),
        "reboot": reboot(),
        "system": system(),
    }


def memory() -> Dict[str, int]:
    """What there is for us (the control group's limit where that is less), and what is used and can't be given back."""
    found = dict(_meminfo())
    total, used = found["MemTotal"], found["MemTotal"] - found.get("MemAvailable", found["MemFree"])
    for limit, current, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        allowed = _text(f"sys/fs/cgroup/{limit}").strip()
        if allowed.isdigit() and int(allowed) < total:
            cached = dict(line.split()[:2] for line in _text(f"sys/fs/cgroup/{stat}").splitlines() if " " in line)
            given_back = int(cached.get("inactive_file", cached.get("total_inactive_file", 0)))
            now = int(_text(f"sys/fs/cgroup/{current}").strip() or 0)
            return {"total": int(allowed), "used": max(0, now - given_back)}
    return {"total": total, "used": used}


def _meminfo() -> Iterator[Tuple[str, int]]:
    for line in _text("proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        yield name, int(rest.split()[0]) * 1024


def disks() -> List[Dict[str, Any]]:
    """Each file system that holds data, once: path, total and used bytes, and the part of its inodes that is used."""
    found: Dict[int, Dict[str, Any]] = {}
    for path in _mounts():
        try:
            device, now = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            continue
        if device in found or not now.f_blocks:
            continue
        there = now.f_blocks - now.f_bfree + now.f_bavail  # without what is kept for root
        found[device] = {
            "path": path,
            "total": there * now.f_frsize,
            "used": (now.f_blocks - now.f_bfree) * now.f_frsize,
            "inodes": round(1 - now.f_favail / now.f_files, 3) if now.f_files else 0.0,
        }
    return list(found.values())


def _mounts() -> Iterator[str]:
    """The root and every block device's mount point. A single file that is mounted is somebody's trick, not a disk."""
    yield "/"
    for line in _text("proc/self/mounts").splitlines():
        device, path = line.split()[:2]
        path = path.encode().decode("unicode_escape")
        if device.startswith("/dev/") and not path.startswith(("/boot/efi", "/snap/", "/run/")) and os.path.isdir(path):
            yield path


def reboot() -> Dict[str, Any]:
    """Whether something that was upgraded takes effect by a reboot only, and which packages asked for it."""
    packages = sorted(set(_text(f"{REBOOT}.pkgs").split()))
    return {"required": os.path.exists(os.path.join(ROOT, REBOOT)), "packages": packages}


def system() -> Dict[str, str]:
    """id ("debian"), release ("13"), name, python."""
    found: Dict[str, str] = {}
    for line in _text("etc/os-release").splitlines():
        key, _, value = line.partition("=")
        found[key] = value.strip("\"'")
    return {
        "id": found.get("ID", ""),
        "release": found.get("VERSION_ID", ""),
        "name": found.get("PRETTY_NAME", ""),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }


def _text(path: str) -> str:
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
