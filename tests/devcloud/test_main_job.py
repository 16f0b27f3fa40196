"""From an empty directory to a Django site that answers: what its user and its servers see."""

from __future__ import annotations

import http.client
import re
import socket

import pytest
from fleet import Fleet, served_by

pytestmark = pytest.mark.devcloud


def test_the_site_answers_over_https(fleet: Fleet) -> None:
    answer = fleet.get()
    assert answer.status == 200
    assert "Guestbook" in answer.text
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_plain_http_is_sent_to_https(fleet: Fleet) -> None:
    connection = http.client.HTTPConnection(fleet.server("loadbalancer1").address, timeout=10)
    connection.request("GET", "/x?y=1")
    answer = connection.getresponse()
    connection.close()
    assert answer.status in {301, 308}
    assert answer.headers["Location"].endswith("/x?y=1")


def test_what_one_appnode_writes_the_other_reads(fleet: Fleet) -> None:
    assert fleet.sign("Grace", "O'Reilly; -- <b>$(x)</b>").status == 302
    seen = {
        served_by(answer): "O&#x27;Reilly; -- &lt;b&gt;$(x)" in answer.text
        for answer in (fleet.get() for _ in range(8))
    }
    assert seen == {"appnode1": True, "appnode2": True}


def test_static_files_are_served(fleet: Fleet) -> None:
    path = re.search(r'href="(/static/[^"]+\.css)"', fleet.get().text)[1]
    answer = fleet.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/css")


def test_the_servers_are_listed(fleet: Fleet) -> None:
    for listing in (fleet.told["openstack-compute list"].output, fleet.fab("openstack_list")):
        for name, kind in (("appnode1", "appnode"), ("dbserver1", "dbserver"), ("loadbalancer1", "loadbalancer")):
            assert re.search(rf"{name}\W+{kind}\W+ACTIVE", listing)


def test_a_second_time_nothing_changes(fleet: Fleet) -> None:
    assert "4 servers, 0 changes" in fleet.fab("openstack_bootem")
    provisioned = fleet.fab("root", "provision")
    assert provisioned.count("already provisioned") == 4
    assert "4 servers, 0 changes" in provisioned
    assert "4 servers, 0 changes" in fleet.fab("everything", "kokki")
    for kind in ("dbserver", "loadbalancer", "appnode"):
        assert " 0 changes" in fleet.fab(kind, "launch").splitlines()[-1]


def test_a_dry_run_wants_nothing(fleet: Fleet) -> None:
    assert "4 servers, 0 changes" in fleet.fab("everything", "kokki", "--dry-run")


def test_a_dry_run_tells_what_it_would_change_and_changes_nothing(fleet: Fleet) -> None:
    with fleet.edited(
        "kokki-config.yaml", "default_attributes: {}", "default_attributes: {base.timezone: Europe/Paris}"
    ):
        first = fleet.try_command("fab", "server:appnode1", "kokki", "--dry-run")
        again = fleet.try_command("fab", "server:appnode1", "kokki", "--dry-run")
    assert first.code == again.code == 2
    assert "+Europe/Paris" in first.output
    assert "0 changes" in fleet.fab("server:appnode1", "kokki")


def test_plain_ssh_works_as_printed(fleet: Fleet) -> None:
    for server in fleet.inventory():
        ended = fleet.ssh(server.name, "hostname")
        assert (ended.code, ended.output.strip()) == (0, server.name)


def test_root_and_port_22_are_closed(fleet: Fleet) -> None:
    assert fleet.ssh("appnode1", "true", user="root").code == 255
    with pytest.raises(OSError, match="timed out"):
        socket.create_connection((fleet.server("appnode1").address, 22), timeout=2)


@pytest.mark.parametrize(("name", "port"), [("dbserver1", 5432), ("appnode1", 8000), ("loadbalancer1", 8000)])
def test_ports_are_closed_to_strangers(fleet: Fleet, name: str, port: int) -> None:
    with pytest.raises(OSError, match="timed out"):
        socket.create_connection((fleet.server(name).address, port), timeout=2)


def test_a_balancer_cannot_reach_the_database(fleet: Fleet) -> None:
    address = fleet.server("dbserver1").private_ip
    probe = f"timeout 3 bash -c '</dev/tcp/{address}/5432' 2>/dev/null && echo open || echo closed"
    assert fleet.sudo("loadbalancer1", probe).strip() == "closed"
    assert fleet.sudo("appnode1", probe).strip() == "open"


def test_secrets_are_nowhere_to_be_read(fleet: Fleet) -> None:
    password = fleet.secret("database-guestbook")
    for output in (ended.output for ended in fleet.told.values()):
        assert password not in output
    collect = "ps axww; journalctl --no-pager; find /var/log /var/lib/deploymachine -type f -exec cat {} +"
    for name in ("dbserver1", "appnode1"):
        assert password not in fleet.sudo(name, collect), name
    assert fleet.ssh("appnode1", "cat /srv/sites/guestbook/shared/env").code != 0
    state = fleet.directory / ".deploymachine"
    assert (state / "secrets.json").stat().st_mode & 0o077 == 0


def test_a_command_runs_on_the_selected_servers(fleet: Fleet) -> None:
    output = fleet.fab("appnode", "system.run", "--command", "echo $((40+2))")
    assert set(output.splitlines()) == {"appnode1: 42", "appnode2: 42"}
