"""A state directory goes in; the API of that devcloud answers on loopback until the process is told to end.

It ends at once on a signal: every change is on disk already, and the machines are no part of it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import waitress  # type: ignore[import-untyped]

from deploymachine.devcloud import announcements, layout
from deploymachine.devcloud.api import Cloud, create_app, open_cloud
from deploymachine.devcloud.layout import Layout
from deploymachine.devcloud.machines import Machines

THREADS = 40  # each create call may wait in one while other clients read


def serve(place: Layout) -> None:
    cloud = open_cloud(place, Machines(place))
    cloud.networking.serve()
    announcements.follow(place, lambda: cloud.networking.wiring().wires)
    cloud.compute.resume()
    answer(cloud, THREADS)


def answer(cloud: Cloud, threads: int, ended: Callable[[], bool] = lambda: False) -> None:
    """Until the process is told to end, or `ended` when the listener was closed; on request not for some seconds."""
    app = create_app(cloud)
    while not ended():
        server = waitress.create_server(app, host="127.0.0.1", port=cloud.layout.port, threads=threads)
        cloud.trouble.hang_up = partial(hang_up, server)
        server.run()
        server.task_dispatcher.shutdown()
        while cloud.trouble.down()[0]:
            time.sleep(0.02)


def hang_up(server: waitress.server.BaseWSGIServer) -> None:
    """Close the listener and every connection, once the answer to who asked for it is out."""

    def close() -> None:
        server.close()
        for channel in list(server.active_channels.values()):
            channel.handle_close()

    def ask() -> None:
        with suppress(OSError):  # closed already
            server.trigger.pull_trigger(close)

    threading.Timer(0.1, ask).start()


if __name__ == "__main__":
    chosen = layout.load(Path(sys.argv[1]))
    if chosen is None:
        sys.exit(f"no devcloud in {sys.argv[1]}")
    serve(chosen)
