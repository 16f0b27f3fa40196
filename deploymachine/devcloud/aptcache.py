"""A devcloud's layout goes in; apt-cacher-ng for its machines, a process of its own, comes out; and ends with it.

A package is then fetched once, however many machines install it. The cache asks the mirrors as this host's apt does.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from deploymachine.devcloud import process
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.process import Process
from deploymachine.devcloud.run import has_tool, run, system_environment
from deploymachine.errors import DevcloudError

TOOL = "apt-cacher-ng"
CHOOSER = "usr/local/lib/devcloud/apt-proxy"
SETTING = "etc/apt/apt.conf.d/00devcloud"


def available() -> bool:
    return has_tool(TOOL)


def address(layout: Layout) -> tuple[str, int]:
    """Where the machines reach it: their gateway, at the API's port, which is on loopback only."""
    return layout.network.rpartition(".")[0] + ".1", layout.port


def ensure(layout: Layout) -> bool:
    """Start it if it doesn't run. Returns whether that was needed. The gateway's address must be there already."""
    if running(layout) is not None:
        return False
    home = layout.directory / "aptcache"
    for directory in (home, home / "packages", home / "log"):
        directory.mkdir(exist_ok=True)
    (home / "acng.conf").write_text(configuration(layout, proxy_of(run(["apt-config", "dump"]))))
    host, port = address(layout)
    with (layout.directory / "aptcache.log").open("ab") as log:
        child = subprocess.Popen(
            [TOOL, *_words(layout)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=system_environment({}),
        )
    deadline = time.monotonic() + 10
    while not _answers(host, port):
        if child.poll() is not None or time.monotonic() > deadline:
            process.end(process.identify(child.pid))
            lines = (layout.directory / "aptcache.log").read_text(errors="replace").splitlines()[-8:]
            raise DevcloudError("the package cache did not start", where=f"{host}:{port}", evidence=lines)
        time.sleep(0.05)
    child.returncode = 0  # it is meant to outlive us; without this Python warns that it still runs
    return True


def end(layout: Layout) -> None:
    process.end(running(layout))


def running(layout: Layout) -> Process | None:
    return process.find(*_words(layout))


def configuration(layout: Layout, proxy: str | None) -> str:
    """Its acng.conf. proxy: through which this host's apt reaches its mirrors."""
    host, port = address(layout)
    options = {
        "BindAddress": host,
        "Port": str(port),
        "CacheDir": str(layout.directory / "aptcache/packages"),
        "LogDir": str(layout.directory / "aptcache/log"),
        "PidFile": "",
        "SocketPath": "",
        "AllowUserPorts": "0",  # mirrors may be at any
        "ExThreshold": "30",
        **({"Proxy": proxy} if proxy else {}),
    }
    return "".join(f"{name}: {value}\n" for name, value in options.items())


def _words(layout: Layout) -> list[str]:
    """The end of its command line, by which it is found again."""
    return ["-c", str(layout.directory / "aptcache"), "ForeGround=1"]


def proxy_of(dump: str) -> str | None:
    """Of `apt-config dump`: the one for http."""
    lines = [line for line in dump.splitlines() if line.lower().startswith("acquire::http::proxy ")]
    return lines[-1].split('"')[1] or None if lines else None


def introduce(layout: Layout, root: Path) -> None:
    """Tell a machine of it: apt asks, each time, a script whether the cache answers, and does without if not."""
    host, port = address(layout)
    chooser = root / CHOOSER
    chooser.parent.mkdir(parents=True, exist_ok=True)
    chooser.write_text(SCRIPT.format(host=host, port=port))
    chooser.chmod(0o755)
    (root / SETTING).write_text(f'Acquire::http::Proxy-Auto-Detect "/{CHOOSER}";\n')


SCRIPT = """\
#!/bin/bash
# The package cache, if it answers; no word means: whatever else apt is told. It can't see into https.
case "$1" in
    https:*) ;;
    *) timeout 1 bash -c '</dev/tcp/{host}/{port}' 2>/dev/null && echo 'http://{host}:{port}' ;;
esac
exit 0
"""


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
