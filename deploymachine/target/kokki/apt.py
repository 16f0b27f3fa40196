"""Names of packages go in; one apt-get transaction that asks nothing and starts no new service installs them."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from typing import Dict, Iterator, List, Sequence

from kokki import dpkg, process
from kokki.dpkg import installed as installed  # what is there, as every package manager's module tells it
from kokki.exceptions import Fail
from kokki.paths import private_directory, state_path, system_path

LOCK_WAIT = 300  # seconds
LOCK_PAUSE = 1.0
OPTIONS = [
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_WAIT}",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
]
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",  # tells, restarts nothing, asks nothing
    "UCF_FORCE_CONFFOLD": "1",
}
POLICY = "/usr/sbin/policy-rc.d"
POLICY_MARK = "# written by kokki"


def get(arguments: Sequence[str], what: str) -> process.Completed:
    """apt-get with arguments, prepared so that it waits for dpkg's lock and never for a person."""
    completed = _patiently(arguments)
    if completed.code != 0:
        raise process.failed(completed, what)
    return completed


def install(words: Sequence[str], *, recommends: bool, upgrade: bool = False) -> None:
    """Install (or upgrade) `name` or `name=version` words in one transaction."""
    repair()
    options = ["-o", f"APT::Install-Recommends={'true' if recommends else 'false'}"]
    options += ["--only-upgrade"] if upgrade else []
    allow = ["--allow-downgrades"] if any("=" in word for word in words) else []
    names = ", ".join(words)
    with services_held_back():
        get(["install", *options, *allow, "--", *words], f"apt-get could not install {names}")


def remove(name: str, *, purge: bool) -> None:
    repair()
    get(["purge" if purge else "remove", "--", name], f"apt-get could not remove {name}")


def repair() -> None:
    """Finish what an interrupted dpkg has left half-way."""
    updates = system_path("/var/lib/dpkg/updates")
    interrupted = os.path.isdir(updates) and any(name.isdigit() for name in os.listdir(updates))
    if interrupted or dpkg.installed().broken:
        with services_held_back():
            command = ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"]
            process.run(command, environment=ENVIRONMENT)  # what stays broken is for apt-get to mend or to tell
            get(["install", "--fix-broken"], "an interrupted dpkg could not be repaired")


def candidates(names: Sequence[str]) -> Dict[str, str]:
    """name -> the version apt would install, for the names it knows; one process for all."""
    if not names:
        return {}
    found: Dict[str, str] = {}
    name = ""
    for line in process.run(["apt-cache", "policy", "--", *names], environment=ENVIRONMENT).output.splitlines():
        if line and not line.startswith((" ", "N:", "W:", "E:")):
            name = line.rstrip(":").split(":")[0]
        elif line.strip().startswith("Candidate:"):
            found[name] = line.split(":", 1)[1].strip()
    return {name: version for name, version in found.items() if version != "(none)"}


def refresh() -> str:
    """Refresh the index; the reason when that did not work, else ''."""
    completed = _patiently(["-o", "APT::Update::Error-Mode=any", "update"])
    if completed.code != 0:
        return (
            "\n".join(line for line in completed.lines if line.startswith(("E:", "W:", "Err:")))
            or "apt-get update failed"
        )
    private_directory(state_path(""))
    with open(_stamp(), "w", encoding="ascii"):
        pass
    os.utime(_stamp())
    return ""


def freshen(max_age: float) -> None:
    """Refresh the index when it is older than that many seconds; a mirror that is down is told when it matters."""
    if index_age() > max_age:
        refresh()


def word(name: str, version: str) -> str:
    return f"{name}={version}"


def fits(now: str, wanted: str) -> bool:
    """Whether version `now` is what is wanted: exactly, or by a pattern."""
    return fnmatchcase(now, wanted)


def index_age() -> float:
    """Seconds since the index was refreshed; infinite when there is none, or sources have changed since."""
    lists = system_path("/var/lib/apt/lists")
    try:
        if not any(
            name.endswith(("Packages", "Packages.lz4", "Packages.gz", "Packages.xz")) for name in os.listdir(lists)
        ):
            return float("inf")
    except FileNotFoundError:
        return float("inf")
    refreshed = max(_modified(_stamp()), _modified(lists))
    if max(_modified(path) for path in _source_files()) > refreshed:
        return float("inf")
    return time.time() - refreshed


@contextmanager
def services_held_back() -> Iterator[None]:
    """While packages come in, services that are not running yet stay down until their configuration is there.

    An administrator's own policy-rc.d is left alone.
    """
    path = system_path(POLICY)
    if os.path.lexists(path) and not _is_ours(path):
        yield
        return
    running = process.run(["systemctl", "list-units", "--type=service", "--state=active", "--plain", "--no-legend"])
    names = (
        " ".join(line.split()[0] for line in running.output.splitlines() if line.strip()) if running.code == 0 else ""
    )
    with open(path, "w", encoding="utf-8", opener=_executable) as stream:
        stream.write(f"#!/bin/sh\n{POLICY_MARK}; it goes away when the packages are in\n")
        stream.write(f'case " {names} " in *" ${{1%.service}}.service "*) exit 0;; esac\nexit 101\n')
    try:
        yield
    finally:
        release_services()


def release_services() -> None:
    """Take our policy away, also one that a killed run has left."""
    path = system_path(POLICY)
    if os.path.isfile(path) and _is_ours(path):
        os.unlink(path)


def missing(names: Sequence[str], max_age: float) -> List[str]:
    """The names apt can't install, the index refreshed if need be. Raises Fail when that failed and matters."""
    stale = index_age() > max_age
    trouble = refresh() if stale else ""
    unknown = _unknown(names)
    if unknown and not stale:
        trouble = refresh()
        unknown = _unknown(names)
    if unknown and trouble:
        raise Fail(
            f"apt's index could not be refreshed, and without it {', '.join(unknown)} can't be installed",
            output=trouble.splitlines(),
            hint="look at the server's network, its proxy settings and /etc/apt/sources.list.d",
        )
    return unknown


def _patiently(arguments: Sequence[str]) -> process.Completed:
    """apt-get, again as long as another has the index or the archive locked: apt itself waits for dpkg's lock only."""
    until = time.monotonic() + LOCK_WAIT
    while True:
        completed = process.run(["apt-get", *OPTIONS, *arguments], environment=ENVIRONMENT)
        locked = any(line.startswith("E: Could not get lock") for line in completed.lines)
        if completed.code == 0 or not locked or time.monotonic() > until:
            return completed
        time.sleep(LOCK_PAUSE)


def _unknown(names: Sequence[str]) -> List[str]:
    known = candidates(names)
    return [name for name in names if name.split(":")[0] not in known]


def _executable(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o755)


def _is_ours(path: str) -> bool:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
        return POLICY_MARK in stream.read(200)
    return False


def _stamp() -> str:
    return state_path("apt-refreshed")


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _source_files() -> List[str]:
    folder = system_path("/etc/apt/sources.list.d")
    inside = [os.path.join(folder, name) for name in os.listdir(folder)] if os.path.isdir(folder) else []
    return [system_path("/etc/apt/sources.list"), folder, *inside]
