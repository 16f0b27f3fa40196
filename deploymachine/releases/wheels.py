"""A run in; wheels that one server has built are brought to the others, and kept here for those still to come."""

from __future__ import annotations

import base64
import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploymachine.errors import DeployMachineError
from deploymachine.inventory import Server
from deploymachine.releases.locks import Held

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
MOST = 100  # are kept, the newest


def bring(run: Held) -> None:
    """Send every server of the run the wheels that it lacks; one that can't take them builds them itself."""
    kept = _kept(run)
    if not kept:
        return

    def send(server: Server) -> dict[str, Any]:
        lacking = sorted(set(kept) - set(run.states[server.name].get("wheels", ())))
        with suppress(DeployMachineError):
            return run.job.ask(server, "add_wheels", _packed(kept[name] for name in lacking)) if lacking else {}
        return {}

    run.job.everywhere(send)


def gather(run: Held, built: Mapping[str, Mapping[str, Any]]) -> None:
    """Fetch what was built this time, each wheel from the first server that has it."""
    if run.job.wheels is None:
        return
    for server in run.job.servers:
        for name in built.get(server.name, {}).get("wheels", ()):
            if not NAME.fullmatch(name) or name in _kept(run):
                continue
            with suppress(DeployMachineError):  # the next server builds it itself
                data = base64.b64decode(run.job.ask(server, "wheel", wheel=name)["data"])
                run.job.wheels.mkdir(parents=True, exist_ok=True)
                (run.job.wheels / name).write_bytes(data)
    _forget_old(run.job.wheels)


def _kept(run: Held) -> dict[str, Path]:
    folder = run.job.wheels
    return {path.name: path for path in folder.glob("*.whl")} if folder is not None else {}


def _packed(paths: Iterable[Path]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path in paths:
            tar.add(path, arcname=path.name)
    return stream.getvalue()


def _forget_old(folder: Path) -> None:
    for path in sorted(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime, reverse=True)[MOST:]:
        path.unlink()
