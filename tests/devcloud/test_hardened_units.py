"""Redis, RabbitMQ, supervisor and rsyslog on Debian 12: what their units are exposed to, while they answer."""

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
RECIPES = ("base.apt", "base.pip", "supervisor", "redis", "rabbitmq", "logs", "logs.central")
LIMITS = {"supervisor": 3.0, "redis-server": 1.5, "rabbitmq-server": 3.0, "epmd": 3.0, "rsyslog": 3.5}
PROGRAM = "[program:probe]\ncommand=/bin/sh -c 'id -un; touch /srv/probe /var/probe; exec sleep 600'\nuser=www-data\n"


@pytest.fixture(scope="module", params=["debian-12"])
def hardened(devcloud, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One machine with all of them, with the attributes that each cookbook is tested with."""
    place = tmp_path_factory.mktemp("hardened")
    shutil.copy(devcloud.directory / "clouds.yaml", place)
    settings = make_settings(place)
    attributes = surroundings(settings)
    for name in ("redis", "rabbitmq", "logs"):
        attributes |= yaml.safe_load(Path(cookbooks.cookbook(name, ()), "test.yaml").read_text())["attributes"]
    attributes |= {f"{name}.identity": attributes["logs.identity"] for name in ("redis", "rabbitmq")}
    with machine(settings, request.param, LineReport(io.StringIO())) as connection:
        wanted = RunList("lognode1", ("test",), RECIPES, attributes)
        checked(run(connection, wanted.request(), lambda _server, _event: None))
        yield Machine(connection, place)


@pytest.mark.parametrize(("unit", "limit"), LIMITS.items())
def test_a_unit_is_exposed_to_little(hardened: Machine, unit: str, limit: float) -> None:
    told = hardened.sh(f"systemd-analyze --no-pager security {unit} | tail -n 1")
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", told)[1]) <= limit, told  # type: ignore[index]


def test_they_all_answer(hardened: Machine) -> None:
    options = "--tls --cacert /etc/redis/tls/authority.pem --user shop --no-auth-warning"
    login = f"REDISCLI_AUTH=a-password-of-a-test redis-cli {options}"
    assert hardened.sh(f"{login} set x y && {login} get x").split() == ["OK", "y"]
    users = hardened.sh("rabbitmqctl -q list_users --no-table-headers").splitlines()
    assert {line.split()[0] for line in users} == {"shop", "shop-b"}  # guest is gone
    shown = hardened.sh("echo | openssl s_client -connect 127.0.0.1:5672 -CAfile /etc/redis/tls/authority.pem 2>&1")
    assert "Verify return code: 0 (ok)" in shown
    hardened.sh("logger -t probe 'does it arrive'")
    assert until(lambda: "does it arrive" in hardened.sh("cat /var/log/servers/*/lognode1/probe.log 2>/dev/null; true"))


def test_supervisor_becomes_another_user_who_writes_nowhere_but_below_srv(hardened: Machine) -> None:
    hardened.sh("chmod 777 /srv /var")
    hardened.write("/etc/supervisor/conf.d/probe.conf", PROGRAM)
    hardened.sh("supervisorctl update")
    assert until(lambda: "RUNNING" in hardened.sh("supervisorctl status probe || true"))
    said = hardened.sh("cat /var/log/supervisor/probe-stdout* /var/log/supervisor/probe-stderr*")
    assert said.splitlines()[0] == "www-data"
    assert "Read-only file system" in said
    assert (hardened.there("/srv/probe"), hardened.there("/var/probe")) == (True, False)
    hardened.sh("supervisorctl stop probe")
    assert hardened.sh("pgrep -u www-data || echo none").strip() == "none"
