"""A state directory goes in; the API of that devcloud answers on loopback until the process is told to end.

It ends at once on a signal: every change is on disk already, and the machines are no part of it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import waitress  # type: ignore[import-untyped]

from deploymachine.devcloud import layout, process
from deploymachine.devcloud.api import create_app, open_cloud
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machines
from deploymachine.devcloud.process import Process

THREADS = 12  # more than clients that wait in a create call at a time


def serve(place: Layout) -> None:
    cloud = open_cloud(place, Machines(place))
    cloud.networking.serve()
    cloud.compute.resume()
    me = process.identify(os.getpid())
    server = waitress.create_server(create_app(cloud), host="127.0.0.1", port=place.port, threads=THREADS)
    (place.directory / "daemon.json").write_text(json.dumps(asdict(me)) if me else "")
    server.run()


def running(directory: Path) -> Process | None:
    """The daemon of that state directory, if it is alive."""
    try:
        found = Process(**json.loads((directory / "daemon.json").read_text()))
    except (OSError, ValueError):
        return None
    return found if process.alive(found) else None


if __name__ == "__main__":
    chosen = layout.load(Path(sys.argv[1]))
    if chosen is None:
        sys.exit(f"no devcloud in {sys.argv[1]}")
    serve(chosen)
