"""`fab loadbalancer nginx...`: what its help says, what a mistake is told, and what a status tells of a certificate."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deploymachine import balancer_status, certificates
from deploymachine.servertypes import Deployment

FAB = Path(sys.executable).parent / "fab"
FABFILE = Path(__file__).parents[3] / "fabfile.py"
OLD = """
OPENSTACK_SERVERS = {}
SERVERS = {"appnode": [{"name": "app1", "ip": "192.0.2.1"}], "loadbalancer": [{"name": "front1", "ip": "192.0.2.2"}]}
"""


@pytest.fixture
def deployed(directory: Path) -> Path:
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    with (directory / "settings.py").open("a") as settings:
        settings.write(OLD)
    return directory


def fab(directory: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run([FAB, *words], cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["maintenance", "ensite", "dissite", "test", "reload", "status"])
def test_each_says_what_it_does(deployed: Path, name: str) -> None:
    code, told = fab(deployed, "--help", f"nginx.{name}")
    assert code == 0
    assert len(told.partition("Docstring:")[2].split()) > 5
    assert ("--site" in told) is (name in {"maintenance", "ensite", "dissite"})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("loadbalancer", "nginx.maintenance", "--site", "blgo"), "There is no site 'blgo'; did you mean 'blog'?"),
        (("appnode", "nginx.reload"), "There is no nginx on app1"),
        (("nginx.status",), "No servers were selected"),
    ],
)
def test_a_mistake_is_told_before_anybody_is_asked(deployed: Path, words: tuple[str, ...], told: str) -> None:
    code, output = fab(deployed, *words)
    assert (code, output.splitlines()[0]) == (1, f"error: {told}")


def test_the_certificate_that_visitors_get_is_looked_at(deployment: Deployment, tmp_path: Path) -> None:
    pair = certificates.self_signed("blog", deployment)
    (tmp_path / "both.pem").write_text(pair["certificate"] + pair["key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        signer, until, days = balancer_status.told(balancer_status.shown("127.0.0.1", "blog.example", port))
        thread.join()
    assert (signer, len(until), 360 <= int(days) <= 365) == ("self-signed", 10, True)
    assert balancer_status.told(balancer_status.shown("127.0.0.1", None, port)) == ("none", "", "")
