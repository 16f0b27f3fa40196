"""nginx of Debian 12 before two nodes, one of which dies: what is tried again, what is passed on, what it may do."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from engine_machine import Machine
from machine_world import until

from deploymachine import cookbooks
from deploymachine.converge import run
from deploymachine.cook import checked
from deploymachine.cookbook_test import machine, make_settings, surroundings
from deploymachine.report import LineReport
from deploymachine.runlist import RunList

# What the SDK deprecates within itself.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.devcloud, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS)]
NODES = Path(__file__).with_name("two_nodes.py")
ASK = """
import http.client, socket, ssl, sys
context = ssl._create_unverified_context()
def connect():
    return context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 20), server_hostname="shop.example")
def ask(method, path, **headers):
    connection = http.client.HTTPSConnection("shop.example")
    connection.sock = connect()
    connection.request(method, path, b"x" if method == "POST" else None, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
"""


@pytest.fixture(scope="module")
def balancer(devcloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A Debian 12 with the attributes that the cookbook is tested with, cooked twice."""
    place = tmp_path_factory.mktemp("nginx")
    shutil.copy(devcloud.directory / "clouds.yaml", place)
    settings = make_settings(place)
    case = yaml.safe_load(Path(cookbooks.cookbook("nginx", ()), "test.yaml").read_text())
    with machine(settings, "debian-12", LineReport(io.StringIO())) as connection:
        recipes = ("base.apt", "base.pip", "logs.limits", "nginx")
        wanted = RunList("loadbalancer1", ("test",), recipes, {**surroundings(settings), **case["attributes"]})
        for _ in range(2):
            ended = checked(run(connection, wanted.request(), lambda _server, _event: None))
        assert ended.changed == 0
        found = Machine(connection, place)
        found.write("/root/two_nodes.py", NODES.read_text())
        found.sh("systemd-run -q --unit nodes python3 /root/two_nodes.py 8000 8001")
        assert until(lambda: "8001" in found.sh("ss -tln"))
        yield found


def ask(balancer: Machine, code: str) -> str:
    """What Python prints on the balancer, where it can ask nginx."""
    balancer.write("/root/ask.py", ASK + code)
    return balancer.sh("python3 /root/ask.py").strip()


def seen(balancer: Machine) -> list[str]:
    """The requests that came to both nodes since the last look."""
    return balancer.sh("cat /tmp/node-* 2>/dev/null; rm -f /tmp/node-*; true").splitlines()


def test_a_request_that_may_be_repeated_finds_the_next_node(balancer: Machine) -> None:
    told = ask(balancer, "print({ask('GET', '/dies') for _ in range(4)})")
    assert told == "{(200, 'alive')}"
    assert len(seen(balancer)) > 4


def test_one_that_has_begun_something_is_not_repeated(balancer: Machine) -> None:
    balancer.sh("systemctl restart nginx")  # which forgets who has failed
    told = ask(balancer, "print(sorted(ask('POST', '/dies')[0] for _ in range(6)))")
    assert "502" in told
    assert len(seen(balancer)) == 6


def test_what_a_node_hears_of_the_visitor(balancer: Machine) -> None:
    lies = "**{'X-Forwarded-For': '203.0.113.6', 'X-Forwarded-Proto': 'http', 'Forwarded': 'for=203.0.113.6'}"
    heard = ask(balancer, f"print(ask('GET', '/', {lies})[1])")
    for line in (
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "Host: shop.example",
    ):
        assert line in heard
    assert "203.0.113.6" not in heard


def test_a_websocket_is_passed_on_and_no_other_upgrade(balancer: Machine) -> None:
    request = r"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
    talk = f"""
for kind in (b"websocket", b"h2c"):
    with connect() as connection:
        connection.sendall(b"{request}" % kind)
        print(connection.recv(12))
        if kind == b"websocket":
            connection.sendall(b"hello")
            told = b""
            while part := connection.recv(1000):
                told += part
            print(told.splitlines()[-1])
"""
    assert ask(balancer, talk).splitlines() == ["b'HTTP/1.1 101'", "b'echo hello'", "b'HTTP/1.1 200'"]


def test_http2_is_spoken_and_the_unit_is_closed(balancer: Machine) -> None:
    talk = "context.set_alpn_protocols(['h2']); print(connect().selected_alpn_protocol())"
    assert ask(balancer, talk) == "h2"
    told = balancer.sh("systemd-analyze --no-pager security nginx | tail -n 1")
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", told)[1]) <= 3.5  # type: ignore[index]
    balancer.sh("nginx -t -q && systemctl reload nginx && logrotate --force /etc/logrotate.d/nginx")
    ask(balancer, "ask('GET', '/?rotated')")
    assert "/?rotated" in balancer.sh("cat /var/log/nginx/site-shop.log")
