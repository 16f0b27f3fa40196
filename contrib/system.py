"""Look at and act on the machines themselves, whatever they serve."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from invoke.context import Context

from deploymachine.contrib._servers import into_file, on_servers
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, reboots, selected, task
from deploymachine.tasks._table import print_table, written_age

reboot = reboots.reboot  # `fab everything system.reboot` is `fab everything reboot`
COMMAND = {"command": "what to run, as you would type it there"}
ROOT = "root"
UPTIME = "cut -d' ' -f1 /proc/uptime; cut -d' ' -f1-3 /proc/loadavg; nproc; awk '/^Mem/ {print $2}' /proc/meminfo"
DF = [
    "df",
    "--block-size=1M",
    "--output=target,size,used,avail,pcent",
    "-x",
    "tmpfs",
    "-x",
    "devtmpfs",
    "-x",
    "overlay",
]
TOP = ["ps", "-eo", "pcpu,pmem,rss,etimes,user:20,args", "--sort=-pcpu", "--no-headers"]
WIDTH = 100
# Whole or not at all, and never readable by more people than it is meant for.
PUT = """set -e
part=$(mktemp "$(dirname -- "$1")/.part-XXXXXX")
trap 'rm -f -- "$part"' EXIT
cat > "$part"
[ "$(stat -c %s -- "$part")" = "$2" ]
chmod "$3" -- "$part"
[ -z "$4" ] || chown "$4" -- "$part"
mv -T -- "$part" "$1"
"""
CHUNK = 1 << 18


@task(help=COMMAND)
def run(_: Context, command: str) -> None:
    """Run a command as the deploy user on the selected servers: `fab everything system.run --command 'df -h'`.

    Changes what the command changes. All servers at once; exit code 1 where it failed on one of them.
    """
    on_selected(["sh", "-c", command])


@task(help=COMMAND)
def sudo(_: Context, command: str) -> None:
    """Run a command as root on the selected servers: `fab appnode system.sudo --command 'systemctl restart cron'`.

    Changes what the command changes. sudo's password comes from the secrets and stands nowhere.
    """
    on_selected(["sh", "-c", command], ROOT)


@task()
def uptime(_: Context) -> None:
    """How long servers are up, their load over 1, 5 and 15 minutes, and memory: `fab everything system.uptime`."""
    rows = []
    for name, text in _ask(["sh", "-c", UPTIME]).items():
        seconds, load, cpus, total, _free, available, *_more = text.splitlines()
        used = 100 - 100 * int(available) // max(1, int(total))
        rows.append([name, written_age(float(seconds)), load, cpus, f"{int(total) // 1024} MB", f"{used}%"])
    print_table(("server", "up", "load", "processors", "memory", "in use"), rows)


@task()
def df(_: Context) -> None:
    """How full the disks are: `fab everything system.df`."""
    rows = [
        [name, *re.split(r"\s+", line.strip())]
        for name, text in _ask(DF).items()
        for line in text.splitlines()[1:]
        if line.strip()
    ]
    print_table(("server", "mounted on", "MB", "used", "free", "full"), rows)


@task(help={"count": "how many of each server; default 10"})
def top(_: Context, count: int = 10) -> None:
    """The processes that take most of the processors: `fab appnode system.top --count 5`."""
    rows = []
    for name, text in _ask(TOP).items():
        for line in text.splitlines()[: max(1, count)]:
            cpu, memory, kilobytes, seconds, user, command = line.split(None, 5)
            size = f"{int(kilobytes) / 1024:.0f} MB"
            rows.append([name, cpu, memory, size, written_age(float(seconds)), user, command[:WIDTH]])
    print_table(("server", "cpu %", "memory %", "size", "runs for", "user", "command"), rows)


@task(
    help={
        "file": "a file here",
        "to": "its path there; a directory when it ends in /",
        "mode": "its permissions there, in octal; default 644",
        "owner": "whose it is there, USER or USER:GROUP; then it is written as root",
        "sudo": "write it as root",
    }
)
def put(_: Context, file: str, to: str, mode: str = "644", owner: str = "", sudo: bool = False) -> None:
    """Copy a file to the selected servers: `fab appnode system.put --file notes.txt --to /tmp/`.

    It replaces what is there, whole or not at all. What belongs to every server of a type is better put by a cookbook.
    """
    path = Path(file).expanduser()
    if not re.fullmatch(r"0?[0-7]{3,4}", mode):
        raise UsageError(f"--mode {mode}: those are no permissions", hint="in octal: 644, 600, 755")
    if not to.startswith("/"):
        raise UsageError(f"--to {to}: that is no path from the root", hint="it begins with /")
    size = _size(path)
    target = to + path.name if to.endswith("/") else to
    argv = ["sh", "-c", PUT, "sh", target, str(size), mode, owner]
    names = _on_selected(argv, ROOT if sudo or owner else "", _Content(path), f"writing {target}")
    print(f"{target} on {', '.join(names)}")


@task(help={"file": "its path there", "to": "a directory here; default: this one", "sudo": "read it as root"})
def get(_: Context, file: str, to: str = ".", sudo: bool = False) -> None:
    """Copy a file from the selected servers, one beside the other: `fab appnode system.get --file /etc/hosts`.

    It becomes SERVER-NAME here, readable by you alone; what is there already is kept, and told. Changes nothing there.
    """
    from deploymachine.remote import Order

    here = deployment()
    name, folder = PurePosixPath(file).name, Path(to).expanduser()
    if not name or not folder.is_dir():
        what = f"There is no directory {folder}" if name else f"--file {file} names no file"
        raise UsageError(what, hint="`fab appnode system.get --file /etc/hosts --to .`")
    servers = selected(here.inventory)
    targets = {server: folder / f"{server.name}-{name}" for server in servers}
    if there := [str(path) for path in targets.values() if path.exists()]:
        raise UsageError(f"{', '.join(there)}: there already", hint="remove it, or name another directory by --to")
    order = Order(["cat", "--", file], ROOT if sudo else "", called=f"reading {file}")
    from deploymachine.ssh import on_each, values

    for size, path in values(on_each(servers, lambda one: (into_file(one, order, here, targets[one]), targets[one]))):
        print(f"{path}: {size} bytes")


def on_selected(command: Sequence[str], user: str = "") -> None:
    """Run `command`, an argv list, on every selected server at once; print its output with the server in front.

    user: as whom; "" is the deploy user. Raises ConvergeError that names every server where it failed, after all were
    tried.
    """
    from deploymachine.remote import Order

    here = deployment()
    on_servers(selected(here.inventory), Order(command, user), here)


def _ask(command: Sequence[str]) -> dict[str, str]:
    from deploymachine.remote import Order

    here = deployment()
    return on_servers(selected(here.inventory), Order(command, called=command[0]), here, quiet=True)


def _on_selected(argv: Sequence[str], user: str, given: _Content, called: str) -> list[str]:
    from deploymachine.remote import Order

    here = deployment()
    return list(on_servers(selected(here.inventory), Order(argv, user, given, called), here, quiet=True))


class _Content:
    """What a file holds, read anew for each server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while data := file.read(CHUNK):
                yield data


def _size(path: Path) -> int:
    try:
        about = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{path} can't be read", why=error.strerror or str(error)) from None
    if not stat.S_ISREG(about.st_mode):
        raise UsageError(f"{path} is no file", hint="one file at a time; `tar` makes one of many")
    return about.st_size
