"""Releases while visitors come: nobody notices one, nor a way back, nor one that fails, is killed or loses a server."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from fleet import Fleet
from load import TOOLS, load, tool
from machine_world import connect, until
from releasing import change, nodes, patient, said, trust

pytestmark = pytest.mark.devcloud
WHO = ("appnode",)  # whom the tests deploy on: all that serve the site
NASTY = 'it\'s a "freeze"; $(reboot)\nuntil `Monday`'


@pytest.fixture(scope="module")
def released(fleet: Fleet) -> Iterator[Fleet]:
    with patient(fleet):
        yield fleet


def balancing(fleet: Fleet) -> str:
    """The site's part of the balancer's configuration."""
    return fleet.sudo(fleet.front, "cat /etc/nginx/sites-available/site-guestbook.conf")


def test_a_deploy_and_a_way_back_lose_no_request(released: Fleet) -> None:
    fleet, before = released, balancing(released)
    first, canary = change(fleet, "one"), nodes(fleet)[0]
    with ExitStack() as stack:
        visitors = stack.enter_context(load(fleet.server(fleet.front).address, trust(fleet), visitors=4))
        seen = [stack.enter_context(tool(name, visitors.address)) for name in TOOLS if shutil.which(name)]
        told = fleet.fab(*WHO, "deploy", "--message", NASTY)
        visitors.goes_on(10)
        assert said(fleet) == {"one"}
        second = change(fleet, "two")
        assert fleet.try_command("fab", *WHO, "deploy", "--dry-run").code == 2
        fleet.fab(*WHO, "deploy", "--batch", "100%")  # nobody else is left to send visitors to, as with one appnode
        visitors.goes_on(10)
        assert said(fleet) == {"two"}
        fleet.fab(*WHO, "rollback")
        visitors.goes_on(10)
        assert said(fleet) == {"one"}
    assert visitors.failures == []
    assert [one["failed"] for one in seen] == [0] * len(seen)
    address = fleet.server(canary).private_ip
    drained, switched = f"{fleet.front}: balance changed: {address}:8000", f"{canary}: switch changed"
    assert told.index(drained) < told.index(switched) < told.index("balance changed: all back in")
    assert balancing(fleet) == before
    table = fleet.fab(*WHO, "releases")
    assert len(re.findall(rf"{first} .*live", table)) == len(nodes(fleet))
    assert second in table
    audit = fleet.fab(*WHO, "audit", "--count", "2")
    assert audit.count("rollback") == 2
    assert NASTY.replace("\n", " ") in fleet.fab(*WHO, "audit")


def test_a_release_that_does_not_answer_meets_no_visitor(released: Fleet) -> None:
    fleet, (canary, *others) = released, nodes(released)
    fleet.fab(*WHO, "deploy")
    urls = fleet.site / "guestbook/urls.py"
    good = urls.read_text()
    urls.write_text(
        good + "\nfrom django.http import HttpResponse\nurlpatterns.insert(0, path('healthz', lambda _: "
        "HttpResponse('no database today', status=500)))\n"
    )
    fleet.commit("bad")
    impatient = fleet.edited("settings.py", '"health_timeout": 180,', '"health_timeout": 20,')
    with impatient, load(fleet.server(fleet.front).address, trust(fleet), visitors=3) as visitors:
        visitors.goes_on(10)
        told = fleet.refused(*WHO, "deploy")
        visitors.goes_on(10)
    urls.write_text(good)
    fleet.commit("good again")
    assert visitors.failures == []
    assert f"{canary} does not serve" in told
    assert f"{canary}: went back to" in told
    assert " down;" not in balancing(fleet)
    line = fleet.fab(f"server:{canary}", "audit", "--count", "1")
    assert "failed" in line
    for other in others:
        assert "failed" in fleet.fab(f"server:{other}", "audit", "--count", "1")


def test_two_at_once_and_one_that_is_killed_anywhere(released: Fleet) -> None:
    fleet, killed = released, 0
    change(fleet, "three")
    with load(fleet.server(fleet.front).address, trust(fleet), visitors=2) as visitors:
        for word in ("guestbook: build", "balance changed", "switch changed"):
            said_so: list[str] = []
            with fleet.start(*WHO, "deploy", "--lock-wait", "120") as running:
                while not said_so or (said_so[-1] and word not in said_so[-1]):
                    said_so.append(running.stdout.readline())  # type: ignore[union-attr]
                if not killed:
                    told = fleet.refused(*WHO, "rollback")
                    assert "Two releases at once" in told
                    assert "has been at a deploy of guestbook" in told
                    assert re.search(r"deploy by .*heard of \d+ s ago +\d", fleet.fab(*WHO, "deploy.status"))
                os.killpg(running.pid, signal.SIGKILL)
                killed += 1
            assert word in said_so[-1], "".join(said_so)
        assert "who is gone" in fleet.fab(*WHO, "deploy", "--lock-wait", "120")
        visitors.goes_on(10)
    assert visitors.failures == []
    assert said(fleet) == {"three"}
    assert " down;" not in balancing(fleet)
    assert fleet.fab(*WHO, "deploy.status").count(" free") == len(nodes(fleet))


def test_a_lock_by_hand_says_why_until_it_is_taken_away(released: Fleet) -> None:
    fleet = released
    assert "is locked" in fleet.fab(*WHO, "deploy.lock", "--message", NASTY)
    told = fleet.refused(*WHO, "deploy")
    assert "guestbook is locked" in told
    assert NASTY.splitlines()[0] in told
    assert fleet.fab(*WHO, "deploy.unlock").count("is unlocked") == len(nodes(fleet))
    assert "no site is locked" in fleet.fab(*WHO, "deploy.unlock")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("deploy", "--site", "bl;og"), "There is no site 'bl;og'"),
        (("deploy", "--ref", "nowhere$(x)"), "has no branch, tag or commit 'nowhere$(x)'"),
        (("deploy", "--batch", "0"), "'0' is no size of a batch"),
        (("rollback", "--to", "../x"), "has no release '../x'"),
    ],
)
def test_what_is_not_there_is_told_and_nothing_changes(released: Fleet, words: tuple[str, ...], why: str) -> None:
    assert why in released.refused(*WHO, *words)
    assert released.fab(*WHO, "deploy.status").count(" free") == len(nodes(released))


def test_a_server_that_dies_between_batches_takes_nobody_with_it(released: Fleet) -> None:
    fleet, (canary, *_, victim) = released, nodes(released)
    fleet.fab(*WHO, "deploy")
    gone, before = fleet.server(victim), said(fleet)
    change(fleet, "four")
    with load(fleet.server(fleet.front).address, trust(fleet), visitors=2) as visitors:
        with connect(fleet.directory) as cloud, fleet.start(*WHO, "deploy") as running:
            output = running.stdout
            assert output is not None
            assert next((line for line in output if line.startswith(f"{canary}: switch changed")), None)
            cloud.compute.stop_server(gone.id)
            told = output.read()
        assert running.returncode == 1
        assert f"{victim} does not serve" in told
        assert f"{canary}: put back to" in told
        assert f"{victim}: could NOT be put back" in told
        visitors.goes_on(10)
        assert said(fleet) == before
        with connect(fleet.directory) as cloud:
            cloud.compute.start_server(gone.id)
        assert until(lambda: fleet.ssh(victim, "true").code == 0, 180)
        assert until(lambda: fleet.try_command("fab", *WHO, "deploy", "--lock-wait", "120").code == 0, 300)
    assert said(fleet) == {"four"}
