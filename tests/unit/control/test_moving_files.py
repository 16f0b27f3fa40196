"""Files that move between servers: what counts, who is let in, how a stream is piped, what rsync tells."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import media
import pytest
from piping import pump

from deploymachine import authority
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment

OLD, NEW, OTHER = (Server(name, "appnode", "127.0.0.1") for name in ("appnode1", "appnode2", "appnode3"))


def context(protocol: int, server: Server, deployment: Deployment) -> ssl.SSLContext:
    return media._context(protocol, authority.server_certificate(server, deployment))


@contextmanager
def offered(deployment: Deployment, sites: dict[str, Any]) -> Iterator[int]:
    """appnode1 offers the sites to appnode2; the port where it does."""
    door = socket.create_server(("127.0.0.1", 0))
    door.settimeout(20)
    ours = context(ssl.PROTOCOL_TLS_SERVER, OLD, deployment)
    serving = threading.Thread(target=media._serve, args=(door, ours, NEW.name, sites))
    serving.start()
    try:
        yield door.getsockname()[1]
        with asking(NEW, door.getsockname()[1], deployment) as stream:
            stream.sendall(media.DONE)
        serving.join(20)
        assert not serving.is_alive()
    finally:
        door.close()
        serving.join()


@contextmanager
def asking(server: Server, port: int, deployment: Deployment) -> Iterator[ssl.SSLSocket]:
    theirs = context(ssl.PROTOCOL_TLS_CLIENT, server, deployment)
    plain = socket.create_connection(("127.0.0.1", port), 20)
    with theirs.wrap_socket(plain, server_hostname=OLD.name) as stream:
        yield stream


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A site of this user's, and an `rsync` that says what it is asked, and then what it hears."""
    shared = tmp_path / "site" / "shared"
    (shared / "media" / "a").mkdir(parents=True)
    program = tmp_path / "rsync"
    program.write_text('#!/bin/sh\necho "$PWD $*"\nexec cat\n')
    program.chmod(0o755)
    monkeypatch.setattr(os, "defpath", f"{tmp_path}:{os.defpath}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    import pwd

    return {"name": "blog", "user": pwd.getpwuid(os.geteuid()).pw_name, "root": str(tmp_path / "site")}


def asked(*argv: str, site: str = "blog") -> bytes:
    return json.dumps({"site": site, "argv": list(argv)}).encode() + b"\n"


RSYNC = ("rsync", "--server", "--sender", "-l", ".", "./")


def test_what_is_counted_is_what_visitors_brought(site: dict[str, str]) -> None:
    shared = Path(site["root"]) / "shared"
    for name in ("env", "run", "gunicorn.conf.py", "media/one", "media/a/env", "celerybeat-schedule.db"):
        (shared / name).write_text("12345")
    (shared / "static").mkdir()
    (shared / "static" / "book.css").write_text("12345")
    assert media.measured(str(shared)) == {"files": 2, "bytes": 10}
    assert media.measured(str(shared / "nothing")) == {"files": 0, "bytes": 0}


def test_who_is_named_gets_the_files_of_the_site_and_nobody_else(deployment: Deployment, site: dict[str, str]) -> None:
    with offered(deployment, {"blog": site}) as port, asking(OTHER, port, deployment) as stream:
        stream.sendall(asked(*RSYNC))
        assert stream.recv(100) == b""


def test_only_rsync_is_run_and_only_in_what_the_site_shares(deployment: Deployment, site: dict[str, str]) -> None:
    with offered(deployment, {"blog": site}) as port:
        wrong = (
            asked("sh", "-c", "id"),
            asked("rsync", "--server", "--sender", ".", "/etc/"),
            asked("rsync", "--server", ".", "./"),
            asked(*RSYNC, site="other"),
            b"nonsense\n",
        )
        for line in wrong:
            with asking(NEW, port, deployment) as stream:
                stream.sendall(line)
                assert stream.recv(100) == b"", line
        with asking(NEW, port, deployment) as stream:
            stream.sendall(asked(*RSYNC) + b"and more\n")
            expected = f"{site['root']}/shared --server --sender -l . ./\nand more\n".encode()
            said = b""
            while len(said) < len(expected):
                said += stream.recv(1000)
            assert said == expected


def test_a_folder_that_is_named_is_offered_and_not_what_releases_share(
    deployment: Deployment, site: dict[str, str], tmp_path: Path
) -> None:
    offering = {"logs": {**site, "folder": str(tmp_path)}}
    with offered(deployment, offering) as port, asking(NEW, port, deployment) as stream:
        stream.sendall(asked(*RSYNC, site="logs"))
        said = b""
        while not said.endswith(b"\n"):
            said += stream.recv(1000)
        assert said == f"{tmp_path} --server --sender -l . ./\n".encode()


def test_megabytes_pass_both_ways_at_once(deployment: Deployment) -> None:
    data = os.urandom(3 << 20)
    found: dict[str, bytes] = {}
    left, right = socket.socketpair()
    both = threading.Barrier(2, timeout=20)

    answers = context(ssl.PROTOCOL_TLS_SERVER, OLD, deployment)
    asks = context(ssl.PROTOCOL_TLS_CLIENT, NEW, deployment)

    def far() -> None:
        with answers.wrap_socket(right, server_side=True) as stream:
            found["far"] = piped(stream, data, both)

    thread = threading.Thread(target=far)
    thread.start()
    with asks.wrap_socket(left, server_hostname=OLD.name) as stream:
        found["near"] = piped(stream, data, both)
    thread.join(20)
    assert {side: len(said) for side, said in found.items()} == {"near": len(data), "far": len(data)}
    assert found["near"] == found["far"] == data


def piped(stream: ssl.SSLSocket, data: bytes, both: threading.Barrier) -> bytes:
    """Say `data` through the pump, and what is heard through it."""
    inside, outside = socket.socketpair()
    with inside, outside:
        piping = threading.Thread(target=pump, args=(stream, inside))
        piping.start()
        heard = exchange(outside, data)
        both.wait()
        outside.shutdown(socket.SHUT_RDWR)
        piping.join(20)
    return heard


def exchange(plain: socket.socket, data: bytes) -> bytes:
    """Say `data`, and hear as much."""
    saying = threading.Thread(target=plain.sendall, args=(data,))
    saying.start()
    heard = b""
    while len(heard) < len(data) and (part := plain.recv(1 << 16)):
        heard += part
    saying.join()
    return heard


def test_what_rsync_says_is_counted() -> None:
    lines = [
        ">f+++++++++ 1234",
        "cd+++++++++ 4096",
        "*deleting   0",
        ">f.st...... 6",
        "cL+++++++++ 3",
        ".d..t...... 4096",
    ]
    assert media.counted(lines) == {"sent": 3, "gone": 1, "bytes": 1243}
