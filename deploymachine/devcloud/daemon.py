"""A state directory goes in; the API of that devcloud answers on loopback until the process is told to end.

It ends at once on a signal: every change is on disk already, and the machines are no part of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import waitress  # type: ignore[import-untyped]

from deploymachine.devcloud import layout
from deploymachine.devcloud.api import create_app, open_cloud
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machines

THREADS = 40  # each create call may wait in one while other clients read


def serve(place: Layout) -> None:
    cloud = open_cloud(place, Machines(place))
    cloud.networking.serve()
    cloud.compute.resume()
    server = waitress.create_server(create_app(cloud), host="127.0.0.1", port=place.port, threads=THREADS)
    server.run()


if __name__ == "__main__":
    chosen = layout.load(Path(sys.argv[1]))
    if chosen is None:
        sys.exit(f"no devcloud in {sys.argv[1]}")
    serve(chosen)
