"""Eight fleets for real, each used from outside, each cooked again without a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import audits
import pytest
from fleet import REPOSITORY, Fleet, own_deployment
from fleet_shapes import (
    OLDER,
    SHAPES,
    SITES,
    Shape,
    Shaped,
    assert_healthy,
    assert_nodes_take_part,
    assert_nothing_differs,
    assert_serves,
)
from releasing import change, patient, said

from deploymachine.servertypes import parts

pytestmark = pytest.mark.devcloud
HERE = Path(__file__).parent
MATRIX = HERE.parent / "unit" / "matrix"
CURRENT = "readlink /srv/sites/guestbook/current"
SLOW = "DEPLOYMACHINE_SLOW_FLEETS"
slow = pytest.mark.skipif(SLOW not in os.environ, reason=f"takes its time: {SLOW}=1, or `make test-fleets`")


@pytest.fixture(scope="module")
def shaped(devcloud) -> Iterator[Shaped]:
    """A deployment of its own, gone in the end whatever became of it."""
    home = devcloud.state.parent / "fleets"
    with own_deployment(devcloud.directory / "clouds.yaml", home, "dbappbalancer1", "", ()) as fleet:
        yield Shaped(fleet)


def told(wanted: Shape) -> str:
    return f"{wanted.name}, {wanted.image}".replace(" ", "-")


def test_every_configuration_of_the_matrix_is_taken_by_the_programs_themselves(shaped: Shaped, tmp_path: Path) -> None:
    """On the one server that has them all; what is running there is not touched."""
    use(shaped, SHAPES[0])
    told = try_files(shaped.fleet, SHAPES[0].front, tmp_path)
    assert told["refused"][:5] == []
    assert set(told["tried"]) == {"nft", "sshd", "visudo", "nginx", "postgres", "supervisord"}
    assert min(told["tried"]["nft"], told["tried"]["postgres"]) > 100


def test_what_is_wrong_is_told_and_mended_as_told(shaped: Shaped) -> None:
    """A service that was stopped, a file that was changed by hand, a reboot that is wanted."""
    shaped.become(SHAPES[0])
    fleet, front = shaped.fleet, shaped.fleet.front
    fleet.sudo(front, "systemctl stop nginx; echo '# by hand' >> /etc/hosts; touch /run/reboot-required")
    ended = fleet.try_command("fab", "status")
    assert ended.code == 1
    assert f"now  {front}: nginx.service does not run. Do: `fab server:{front} kokki`" in ended.output
    assert f"`fab server:{front} reboot`" in ended.output
    assert "\x1b" not in ended.output
    ended = fleet.try_command("fab", "everything", "drift")
    assert ended.code == 2
    assert f"{front}: Service[nginx] would-change: started" in ended.output
    assert f"{front}:     -# by hand" in ended.output
    fleet.fab(f"server:{front}", "kokki")
    fleet.sudo(front, "rm /run/reboot-required")
    assert_healthy(fleet)
    assert fleet.try_command("fab", "check").code == 0


def try_files(fleet: Fleet, server: str, tmp_path: Path) -> Any:
    """What the programs say of every distinct configuration of each set, rendered here and tried there."""
    render = """
import json, pathlib, sys
from matrix_files import distinct
from matrix_settings import matrix_settings
with matrix_settings(pathlib.Path(sys.argv[1])) as settings:
    json.dump(distinct(settings, [(1, 2, 3)]), sys.stdout)
"""
    paths = {"PYTHONPATH": f"{MATRIX}:{REPOSITORY}:{REPOSITORY}/deploymachine/target"}
    words = [sys.executable, "-c", render, str(tmp_path)]
    files = subprocess.run(words, env={**os.environ, **paths}, capture_output=True, text=True, check=True).stdout
    fleet.sudo(server, f"cat > /root/check_files.py <<'END'\n{(HERE / 'check_files.py').read_text()}\nEND")
    return json.loads(fleet.sudo(server, "python3 /root/check_files.py", files))


@pytest.mark.parametrize("wanted", [*(pytest.param(one, marks=slow) for one in SHAPES[1:-1]), SHAPES[-1]], ids=told)
def test_a_fleet_serves_and_stays_as_it_is(shaped: Shaped, wanted: Shape) -> None:
    use(shaped, wanted)


def test_a_release_reaches_every_type_that_runs_the_site(shaped: Shaped) -> None:
    """On the last of SHAPES, whose servers are there still."""
    shaped.become(SHAPES[-1])
    fleet, types = shaped.fleet, [kind for kind, _ in SHAPES[-1].counts if {*parts(kind)} & {*SITES}]
    commit = change(fleet, "for everybody")
    with patient(fleet):
        fleet.fab(*types, "deploy")
    assert said(fleet) == {"for everybody"}
    live = {name: fleet.sudo(name, CURRENT) for kind in types for name in SHAPES[-1].servers[kind]}
    assert {release.strip().rpartition("-")[2] for release in live.values()} == {commit}, live


@slow
def test_auditors_are_content_with_every_type(shaped: Shaped, tmp_path: Path) -> None:
    """After the last of SHAPES, whose servers are there still."""
    shaped.become(SHAPES[-1])
    place = audits.install_ssh_audit(tmp_path)
    told = {}
    for server in shaped.fleet.inventory():
        index, warnings = audits.lynis(shaped.fleet, server.name)
        told[server.name] = (index >= audits.LEAST, warnings, audits.ssh_findings(place, server.address))
        web = [80, 443] if server.type.endswith("balancer") else []
        assert audits.answers(server.address) == dict.fromkeys([*web, 2222], "open"), server.name
    assert told == dict.fromkeys(told, (True, [], []))
    assert len(told) == 8


@slow
@pytest.mark.parametrize("wanted", OLDER, ids=told)
def test_on_an_older_debian_too(shaped: Shaped, wanted: Shape) -> None:
    use(shaped, wanted)


def use(shaped: Shaped, wanted: Shape) -> None:
    shaped.become(wanted)
    assert_serves(shaped.fleet, wanted)
    assert_nodes_take_part(shaped.fleet, wanted)
    assert_nothing_differs(shaped.fleet)
    assert_healthy(shaped.fleet)
