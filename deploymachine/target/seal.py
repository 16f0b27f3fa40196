"""A copy of a server in, a disk out that is nobody's: made ready to be the image that others of its type boot from.

What makes a machine itself (keys, ids, names, cloud-init's memory), what is secret, what its sites and services wrote
and what lets people in is taken off; packages, virtualenvs, releases and our bundles stay. Secrets are overwritten
before they are removed, so that they don't lie in the image's free blocks. At the end the disk is searched for the
values that must not be on it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import stat
import subprocess
import time
from typing import Any, Callable, Dict, Iterator, List

ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
Event = Dict[str, Any]
Emit = Callable[[Event], None]

COPY = "etc/deploymachine/bake"  # written by the copy's user-data
# What would go on writing.
SERVICES = [
    *("supervisor", "nginx", "cron", "rsyslog", "redis-server", "rabbitmq-server", "epmd.socket", "epmd", "pgbouncer"),
    *("certbot.timer", "deploymachine-certificates.socket", "deploymachine-certificates-fetch.timer", "swapfile.swap"),
]
# What would let in anybody without the configuration that is its own, or could not begin; cooking enables them again.
DOORS = ["redis-server", "rabbitmq-server", "epmd.socket", "pgbouncer", "swapfile.swap"]
PEOPLE = ["root", "home/*", "srv/sites/*", "var/lib/postgresql"]  # whose homes may hold keys and passwords
# Overwritten, then removed.
SECRET = [
    *(f"{home}/{name}" for home in PEOPLE for name in (".ssh", ".pgpass", ".netrc", ".my.cnf", ".git-credentials")),
    *(f"{home}/{name}" for home in PEOPLE for name in (".*_history", ".config/pip", ".pip", ".aws", ".docker")),
    *(f"srv/sites/*/{name}" for name in ("shared/env", "shared/gunicorn.conf.py", "shared/run", "repo.git/FETCH_HEAD")),
    "etc/ssh/ssh_host_*",
    "etc/nginx/tls/*",
    "etc/rsyslog.d/tls/*",
    "var/spool/rsyslog/*",
    "swapfile",  # whatever was in memory
    "etc/pgbouncer/userlist.txt",
    "etc/pgbouncer/running.ini",
    "etc/letsencrypt/*",
    "etc/deploymachine/certificates/*",
    "etc/redis/*.conf",
    "etc/redis/tls/*",
    "var/lib/redis/*",
    "etc/rabbitmq/tls/*",
    "var/lib/rabbitmq/*",
    "var/lib/rabbitmq/.[!.]*",  # Erlang's cookie lets in whoever has it
    "etc/pip.conf",
    "etc/apt/auth.conf",
    "etc/apt/auth.conf.d/*",
    "etc/apt/apt.conf.d/01deploymachine-proxy",
    "var/lib/cloud/*",
    "var/lib/deploymachine/kokki/*",
    "var/lib/deploymachine/*.tar",
    "var/lib/deploymachine/admins",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/backups/*",
]
# Removed: the machine's own, and what would start before its secrets are back.
OWN = [
    "etc/deploymachine/*",
    "etc/ssh/sshd_config.d/10-deploymachine.conf",
    "etc/nftables.conf",
    "etc/rsyslog.conf",
    "etc/cloud/cloud.cfg.d/99-deploymachine.cfg",
    "etc/hostname",
    "etc/netplan/50-cloud-init.yaml",
    "etc/network/interfaces.d/50-cloud-init*",
    "etc/systemd/network/*cloud-init*",
    "etc/udev/rules.d/70-persistent-net.rules",
    "etc/rabbitmq/rabbitmq.conf",
    "etc/supervisor/conf.d/site-*.conf",
    "etc/supervisor/conf.d/celery-*.conf",
    "etc/supervisor/conf.d/beat-*.conf",
    "etc/systemd/system/cron-*",
    "etc/systemd/system/*.wants/cron-*",
    "srv/sites/*/shared/celerybeat-schedule*",
    "etc/nginx/sites-available/site-*.conf",
    "etc/nginx/sites-enabled/site-*.conf",
    "srv/sites/*/current",
    "srv/sites/*/history",
    "srv/sites/*/.switching",
    "srv/sites/*/deploys.log",
    "srv/sites/*/shared/media/*",
    "srv/sites/*/.cache/*",
    "var/lib/dbus/machine-id",
    "var/lib/dhcp/*",
    "var/lib/NetworkManager/*",
    "var/cache/nginx/*",
    "var/cache/apt/archives/*.deb",
    "var/log/journal/*",
    "var/log/servers/*",
    "var/mail/*",
    "tmp/*",
    "tmp/.[!.]*",
    "var/tmp/*",
]
ACCOUNTS = ["etc/passwd-", "etc/shadow-", "etc/group-", "etc/gshadow-"]  # as they were before the last change
HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
SEARCHED = ["etc", "root", "home", "srv", "var", "opt", "tmp", "usr/local"]
CHUNK = 4 << 20
SHORTEST = 16  # of a value that is looked for: anything shorter may stand anywhere by chance


def main(request: Event, emit: Emit) -> int:
    """Make the disk nobody's. Returns the exit code.

    request: "token" (as user-data wrote it here, so that no other server is ever taken for the copy), "user" (who
    administers), "secrets" (values that must not be found).
    """
    began = time.monotonic()
    if not _is_a_copy(str(request["token"])):
        what = "This server was not made to become an image; nothing was touched"
        emit({"event": "failure", "what": what, "why": f"{COPY} does not hold the bake's token", "where": ""})
        return 1
    step(emit, "stop services", lambda: _run("systemctl", "stop", *SERVICES))
    step(emit, "remove the deploy user", lambda: _without_user(str(request["user"])))
    step(emit, "wipe secrets", lambda: _all(_wipe, [*SECRET, *ACCOUNTS]))
    step(emit, "remove what is its own", lambda: _all(_remove, OWN))
    step(emit, "empty logs", _empty_logs)
    step(emit, "forget its name", _anonymous)
    left = step(emit, "search", lambda: found(list(values(request.get("secrets", ())))))
    _run("sync")
    state = "failed" if left else "ok"
    if left:
        what = "The disk still holds secrets, so no image is made of it"
        emit({"event": "failure", "what": what, "why": "\n".join(left), "hint": HINT, "where": "", "source_line": ""})
    ms = round((time.monotonic() - began) * 1000, 1)
    emit({"event": "run-done", "state": state, "totals": {}, "ms": ms, "result": {"left": left}})
    return 1 if left else 0


def _is_a_copy(token: str) -> bool:
    try:
        with open(_path(COPY), encoding="utf-8") as file:
            return bool(token) and file.read().strip() == token
    except OSError:
        return False


HINT = "something wrote a password into these files: have it not do so, or remove them on the server, then bake again"


def step(emit: Emit, name: str, work: Callable[[], Any]) -> Any:
    """Do one thing and tell of it; what it returned."""
    began = time.monotonic()
    emit({"event": "step-begun", "step": name})
    result = work()
    ms = round((time.monotonic() - began) * 1000, 1)
    emit({"event": "step-done", "step": name, "state": "ok", "ms": ms, "detail": ""})
    return result


def _all(action: Callable[[str], None], patterns: List[str]) -> None:
    for pattern in patterns:
        for path in glob.glob(os.path.join(glob.escape(ROOT), pattern)):
            action(path)


def _without_user(user: str) -> None:
    """The account, its home, its password. The session that asks is already root's, and lives on without it."""
    _all(_wipe, [f"home/{user}/.ssh", f"home/{user}/.*_history"])
    _run("userdel", "--force", "--remove", user)


def _wipe(path: str) -> None:
    """Overwrite every file below, then remove all of it."""
    for file in _files(path):
        with open(file, "r+b", buffering=0) as stream:
            left = os.fstat(stream.fileno()).st_size
            while left > 0:
                left -= stream.write(bytes(min(left, CHUNK)))
            os.fsync(stream.fileno())
    _remove(path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _empty_logs() -> None:
    """Files keep their owners and modes, which the services that write them rely on; rotated ones go."""
    for file in _files(_path("var/log")):
        if re.search(r"\.(\d+|gz|xz|old)(\.gz)?$", file):
            os.unlink(file)
        else:
            os.truncate(file, 0)


def _anonymous() -> None:
    """A machine-id that the next boot makes, no names of peers, a firewall that waits to be declared."""
    _write("etc/machine-id", "")
    _write("etc/hosts", HOSTS)
    for unit in ("nftables.service", *DOORS):
        _run("systemctl", "disable", unit)  # one by one: it stops at a unit that is not there


def values(secrets: Any) -> Iterator[bytes]:
    """What to look for of each secret: itself, or of one that has several lines, such as a key, the longest."""
    for secret in secrets:
        text = secret["$secret"] if isinstance(secret, dict) else str(secret)
        longest = max(text.splitlines() or [""], key=len).strip()
        if len(longest) >= SHORTEST:
            yield longest.encode()
            escaped = json.dumps(longest)[1:-1]
            if escaped != longest:
                yield escaped.encode()


def found(wanted: List[bytes]) -> List[str]:
    """The files that hold one of the values, as paths of the server."""
    if not wanted:
        return []
    pattern = re.compile(b"|".join(re.escape(value) for value in wanted))
    overlap = max(len(value) for value in wanted)
    files = (file for name in SEARCHED for file in _files(_path(name)))
    return sorted("/" + os.path.relpath(file, ROOT) for file in files if _holds(file, pattern, overlap))


def _holds(file: str, pattern: Any, overlap: int) -> bool:
    rest = b""
    with open(file, "rb") as stream:
        while True:
            chunk = stream.read(CHUNK)
            if not chunk:
                return False
            if pattern.search(rest + chunk):
                return True
            rest = chunk[-overlap:]


def _files(path: str) -> Iterator[str]:
    """Every regular file at or below the path; links are not followed, other file systems not entered."""
    if not os.path.lexists(path) or os.path.islink(path):
        return
    device = os.lstat(path).st_dev
    if stat.S_ISREG(os.lstat(path).st_mode):
        yield path
        return
    for folder, names, files in os.walk(path):
        names[:] = [name for name in names if os.lstat(os.path.join(folder, name)).st_dev == device]
        for name in files:
            file = os.path.join(folder, name)
            if os.path.lexists(file) and stat.S_ISREG(os.lstat(file).st_mode):
                yield file


def _write(name: str, text: str) -> None:
    with open(_path(name), "w", encoding="utf-8") as file:
        file.write(text)


def _path(name: str) -> str:
    return os.path.join(ROOT, name)


def _run(*command: str) -> None:
    """What is not there (no nginx, no such user) needs no stopping and no removing."""
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
