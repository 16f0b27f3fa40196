"""Tasks about servers and databases: what they refuse before anybody is asked, and what is made of servers' answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploymachine import adminkeys
from deploymachine.contrib import apt, dns, firewall
from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings, load

FAB = Path(sys.executable).parent / "fab"
FABFILE = Path(__file__).parents[3] / "fabfile.py"
FIXED = """
OPENSTACK_SERVERS = {}
SERVERS = {
    "dbserver": [{"name": "db1", "ip": "192.0.2.1"}],
    "loadbalancer": [{"name": "front1", "ip": "192.0.2.2"}, {"name": "front2", "ip": "2001:db8::2"}],
}
"""
CHAIN = """table inet deploymachine {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept
\t\ttcp dport 2222 accept comment "ssh"
\t\tip saddr { 10.0.0.5, 10.0.0.6 } tcp dport 5432 accept comment "PostgreSQL for the appnodes"
\t}
}
"""


@pytest.fixture
def deployed(directory: Path) -> Path:
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    with (directory / "settings.py").open("a") as settings:
        settings.write(FIXED)
    return directory


def refused(directory: Path, *words: str) -> str:
    done = subprocess.run(
        [FAB, *words], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert (done.stdout, done.stderr.count("error: ")) == ("", 1)
    return done.stderr.removeprefix("error: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("firewall.open --port 8080 --minutes 0", "--minutes 0 can't be done"),
        ("firewall.open --port 8080 --minutes 25h", "--minutes 25h can't be done"),
        ("firewall.open --port http", "--port http: that is no port"),
        ("firewall.open --port 8080 --allow-ip office", "--allow-ip office: that is no address"),
        ("firewall.open --port 8080", "This needs a confirmation"),
        ("postgresql.drop --database blog", "PROTECTED in settings.py forbids it: to drop the database blog"),
        ("postgresql.load --yes", "PROTECTED in settings.py forbids it: to replace the database blog"),
        ("postgresql.push --file x.dump --yes", "PROTECTED in settings.py forbids it: to replace the database blog"),
        ("postgresql.push --file no.dump --database other --yes", "no.dump can't be read"),
        ("postgresql.push --file id.gz --database other --yes", "id.gz is compressed by gzip"),
        ("postgresql.pull --to settings.py", "settings.py is there already"),
        ("postgresql.create --database dbname=x", "'dbname=x' can't be a database's name"),
        ("postgresql.create --database scratch", "Whose shall scratch be?"),
        ("postgresql.kill_query 4711;DROP", "'4711;DROP' is no pid"),
        ("postgresql.vacuum --full", "Nobody can use a table of blog"),
        ("system.put --file settings.py --to etc", "--to etc: that is no path from the root"),
        ("system.put --file settings.py --to /etc/ --mode rw", "--mode rw: those are no permissions"),
        ("system.put --file nothing --to /etc/", "nothing can't be read"),
        ("system.get --file /etc/ --to nowhere", "There is no directory nowhere"),
        ("users.add --name grace --key nothing.pub", "An administrator's key file is not there"),
        ("users.add --name grace --key id_ed25519", "--key names a private key"),
        ("users.add --name grace --key id_ed25519.pub", "That key is an admin's already"),
        ("users.add --name ../grace --key id_ed25519.pub", "'../grace': that is no name here"),
        ("users.remove --name ada", "users.add let in no 'ada'"),
    ],
)
def test_what_can_not_be_meant_is_told_before_anybody_is_asked(deployed: Path, words: str, told: str) -> None:
    (deployed / "id.gz").write_bytes(b"\x1f\x8b\x08")
    with (deployed / "settings.py").open("a") as settings:
        settings.write("PROTECTED = ['blog']\n")
    assert told in refused(deployed, "dbserver", *words.split())


@pytest.mark.parametrize("name", ["blog", "mysite"])
def test_a_database_is_protected_by_its_name_its_sites_and_the_deployments(deployed: Path, name: str) -> None:
    text = (deployed / "settings.py").read_text().replace('"blog": {"owner"', '"data": {"owner"')
    (deployed / "settings.py").write_text(text.replace('"database": "blog"', '"database": "data"'))
    with (deployed / "settings.py").open("a") as settings:
        settings.write(f"PROTECTED = [{name!r}]\n")
    told = refused(deployed, "dbserver", "postgresql.drop", "--database", "data", "--yes-i-mean-it", "data")
    assert f"{name} stands there; no option of any task goes past that" in told


def test_a_misspelt_setting_of_a_webhook_is_told(deployed: Path) -> None:
    with (deployed / "settings.py").open("a") as settings:
        settings.write('NOTIFY = [{"secret": "hook", "wen": "failed", "sites": ["blgo"]}]\n')
    assert "unknown setting NOTIFY[0]['wen']; did you mean 'when'?" in refused(deployed, "notify.test")


def test_a_firewall_is_shown_with_what_is_open_for_a_while() -> None:
    entries = [
        {"elem": {"val": {"concat": [{"prefix": {"addr": "0.0.0.0", "len": 0}}, "tcp", 8080]}, "expires": 61}},  # noqa: S104 (no socket)
        {"elem": {"val": {"concat": ["192.0.2.7", "udp", 53]}, "expires": 5}},
    ]
    four = json.dumps({"nftables": [{"metainfo": {}}, {"set": {"name": "opened4", "elem": entries}}]})
    assert firewall.rows_of(f"{CHAIN}\n{four}\n\n\n") == [
        ["2222/tcp", "everybody", "ssh", ""],
        ["5432/tcp", "10.0.0.5, 10.0.0.6", "PostgreSQL for the appnodes", ""],
        ["8080/tcp", "everybody", "opened for a while", "1 min"],
        ["53/udp", "192.0.2.7", "opened for a while", "5 s"],
    ]


def named(deployment: Deployment, *servers: Server) -> Deployment:
    path = deployment.settings.directory / "settings.py"
    path.write_text(path.read_text().replace('"wsgi"', '"domains": ["blog.invalid", "Localhost"], "wsgi"'))
    return Deployment(load(path.parent), Inventory(servers), Secrets(deployment.settings.state / "secrets.json"))


def test_every_name_should_lead_to_every_loadbalancer(deployment: Deployment) -> None:
    here = named(
        deployment,
        Server("front1", "loadbalancer", "10.0.0.1", "192.0.2.2"),
        Server("front2", "appbalancer", "2001:db8::2"),
        Server("appnode1", "appnode", "10.0.0.3"),
    )
    assert dns.records(here) == [
        ("blog.invalid", "A", "192.0.2.2"),
        ("blog.invalid", "AAAA", "2001:db8::2"),
        ("localhost", "A", "192.0.2.2"),
        ("localhost", "AAAA", "2001:db8::2"),
    ]
    with pytest.raises(UsageError, match="no loadbalancer"):
        dns.records(named(deployment))
    assert "127.0.0.1" in dns.resolved("localhost")[0]
    assert dns.resolved("blog.invalid")[1].startswith("not known: ")


def test_who_was_let_in_by_a_command_is_an_admin_like_the_others(settings: Settings) -> None:
    (settings.directory / "admins").mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "grace", "-f", "admins/grace"],
        cwd=settings.directory,
        check=True,
    )
    first, grace = adminkeys.named(settings)
    assert (first[1], grace[1]) == ("ADMIN_SSH_KEYS[0]", "admins/grace.pub")
    told = subprocess.run(
        ["ssh-keygen", "-l", "-f", "admins/grace.pub"],
        cwd=settings.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    assert adminkeys.fingerprint(grace[0]) == told.stdout.split()[1]
    assert adminkeys.read(settings) == (first[0], grace[0])


def test_what_an_upgrade_would_bring_is_read_from_apts_own_words() -> None:
    told = """Reading package lists...
Inst tzdata [2026a-0] (2026b-0 Debian:13.2/stable, Debian-Security:13/stable-security [all])
Inst linux-image-6.12.9 (6.12.9-1 Debian:13.2/stable [amd64])
Conf tzdata (2026b-0 Debian:13.2/stable [all])"""
    assert apt.waiting(told) == [
        ["tzdata", "2026a-0", "2026b-0", "yes"],
        ["linux-image-6.12.9", "", "6.12.9-1", ""],
    ]
