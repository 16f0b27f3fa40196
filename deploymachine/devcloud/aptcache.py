"""A devcloud's layout goes in; apt-cacher-ng for its machines, a process of its own, comes out; and ends with it.

A package is then fetched once, however many machines install it. The cache asks the mirrors as this host's apt does.
Where apt-cacher-ng isn't installed its packages are unpacked beside the images: that brings no service to this host.
"""

from __future__ import annotations

import os
import shutil
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


def configured(layout: Layout) -> bool:
    """Whether this devcloud has one, alive or not."""
    return (layout.directory / "aptcache/acng.conf").exists()


def address(layout: Layout) -> tuple[str, int]:
    """Where the machines reach it: their gateway, at the API's port, which is on loopback only."""
    return layout.network.rpartition(".")[0] + ".1", layout.port


def ensure(layout: Layout) -> bool:
    """Start it if it doesn't run. Returns whether that was needed. The gateway's address must be there already.

    Raises DevcloudError if it can't be had or doesn't start.
    """
    if running(layout) is not None:
        return False
    unpacked = None if has_tool(TOOL) else _unpacked(layout.images)
    home = layout.directory / "aptcache"
    for directory in (home, home / "packages", home / "log"):
        directory.mkdir(exist_ok=True)
    support = unpacked / "usr/lib/apt-cacher-ng" if unpacked else None
    (home / "acng.conf").write_text(configuration(layout, proxy_of(run(["apt-config", "dump"])), support))
    host, port = address(layout)
    with (layout.directory / "aptcache.log").open("ab") as log:
        child = subprocess.Popen(
            [str(unpacked / "usr/sbin" / TOOL) if unpacked else TOOL, *_words(layout)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=system_environment(libraries(unpacked) if unpacked else {}),
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


def _unpacked(images: Path) -> Path:
    """The tool and the libraries that this host lacks for it, fetched once by this host's apt."""
    root = images / TOOL
    if root.exists():
        return root
    part = images / f".{TOOL}-{os.getpid()}"
    part.mkdir(parents=True)
    try:
        plan = run(["apt-get", "-qq", "--simulate", "--no-install-recommends", "install", TOOL])
        names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        # apt's own user can't write here, which it would say on standard error
        run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names], cwd=part)
        for package in part.glob("*.deb"):
            run(["dpkg-deb", "--extract", str(package), str(part)])
            package.unlink()
        if not root.exists():  # of another devcloud, meanwhile
            part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def purge(images: Path) -> None:
    shutil.rmtree(images / TOOL, ignore_errors=True)


def libraries(root: Path) -> dict[str, str]:
    """The environment with which what is unpacked there finds its own."""
    places = {str(path.parent) for folder in ("lib", "usr/lib") for path in (root / folder).glob("*-linux-*/*.so*")}
    return {"LD_LIBRARY_PATH": ":".join(sorted(places))}


def configuration(layout: Layout, proxy: str | None, support: Path | None = None) -> str:
    """Its acng.conf. proxy: through which this host's apt reaches its mirrors. support: where its own files are."""
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
        **({"SupportDir": str(support)} if support else {}),
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
