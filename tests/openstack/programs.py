"""What the control plane is made of goes in; a virtualenv and a small Debian tree come out, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from place import HERE, Place

from deploymachine.devcloud import aptsources
from deploymachine.devcloud.run import run
from deploymachine.errors import DeployMachineError

REQUIREMENTS = HERE / "requirements.txt"
SUITE = "bookworm"
PACKAGES = ("mariadb-server-core", "mariadb-client-core", "rabbitmq-server")
PYTHONS = (sys.executable, "python3.11", "python3.12", "python3.13", "/usr/bin/python3")
PYTHON_FITS = "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
# Of the tree's own only a mount namespace: when the process ends, its mounts are gone.
ENTER = """\
mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount --bind "$2" "$1$2" || exit 1
tree=$1; shift 2; exec chroot "$tree" "$@"
"""


def ensure(place: Place, say: Callable[[str], None]) -> None:
    """Make what is missing or out of date, both at once. Raises DeployMachineError."""
    place.cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        for made in [pool.submit(_ensure_venv, place, say), pool.submit(_ensure_debian, place, say)]:
            made.result()


def inside(place: Place, *argv: str) -> list[str]:
    """The command line that runs `argv` in the tree; it sees place.run at the same path."""
    return ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(place.debian), str(place.run), *argv]


def fingerprint(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


def _ensure_venv(place: Place, say: Callable[[str], None]) -> None:
    python = _python()
    wanted = fingerprint(REQUIREMENTS.read_text(), python, place.venv)
    stamp = place.venv / "made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("installing OpenStack into a virtualenv (once)")
    shutil.rmtree(place.venv, ignore_errors=True)
    run([python, "-m", "venv", str(place.venv)])
    pip = [place.bin("python"), "-m", "pip"]
    run([*pip, "install", "--quiet", "uv"])
    index = subprocess.run([*pip, "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
    fast = [place.bin("uv"), "pip", "install", "--quiet", "--compile-bytecode", "--python", place.bin("python")]
    run([*fast, "--requirement", str(REQUIREMENTS)], env=_index_for_uv(index.stdout.strip()))
    stamp.write_text(wanted)


def _index_for_uv(configured: str) -> dict[str, str]:
    """uv does not read pip's configuration: hand over what decides where packages come from."""
    index = os.environ.get("PIP_INDEX_URL") or configured
    certificates = os.environ.get("PIP_CERT", "")
    return {
        **({"UV_DEFAULT_INDEX": index} if index else {}),
        **({"SSL_CERT_FILE": certificates} if certificates else {}),
    }


def _python() -> str:
    """OpenStack's releases each run on some Pythons only."""
    for candidate in PYTHONS:
        path = shutil.which(candidate)
        if path and subprocess.run([path, "-c", PYTHON_FITS], capture_output=True, check=False).returncode == 0:
            return str(Path(path).resolve())
    raise DeployMachineError("no Python that OpenStack runs on was found", hint="install Python 3.11, 3.12 or 3.13")


def _ensure_debian(place: Place, say: Callable[[str], None]) -> None:
    stamp = place.debian / "made-from"
    wanted = fingerprint(SUITE, *PACKAGES)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("building a tree with MariaDB and RabbitMQ (once)")
    shutil.rmtree(place.debian, ignore_errors=True)
    mirror = aptsources.mirror()
    options = [f"--aptopt={option.rstrip(';')}" for option in mirror.options]
    made = ["--mode=root", "--variant=essential", "--format=directory", f"--include={','.join(PACKAGES)}", *options]
    run(["mmdebstrap", *made, SUITE, str(place.debian), *mirror.sources(SUITE)])
    (place.debian / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (place.debian / place.run.relative_to("/")).mkdir(parents=True)
    stamp.write_text(wanted)
