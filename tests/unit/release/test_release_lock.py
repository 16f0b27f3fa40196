"""A site's lock on a server: who holds it, whether they live, who may let go, and what a release does without it."""

import fcntl
import json
import os
import time

import pytest

ADA = {"id": "a1", "owner": "ada@laptop", "pid": 7, "kind": "deploy", "message": ""}
BOB = {"id": "b2", "owner": "bob@desk", "pid": 8, "kind": "rollback", "message": ""}
NASTY = 'it\'s "quoted"; $(reboot)\n\x1b[31mred'


def begin(machine, lock, **more):
    return machine.ask("begin", lock=lock, **more)


def age(machine, seconds):
    path = machine.root / "deploy.lock"
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_one_of_two_gets_the_lock_and_the_other_is_told_whose_it_is(machine):
    assert begin(machine, ADA)[0] == 0
    code, result = begin(machine, BOB)
    assert (code, result["lock"]["id"], result["lock"]["alive"]) == (1, "a1", True)
    assert machine.failure["what"] == "Two releases at once"
    assert "ada@laptop has been at a deploy of blog" in machine.failure["why"]
    assert machine.ask("end", lock_id="a1")[0] == 0
    assert begin(machine, BOB)[0] == 0


def test_a_dead_owners_lock_is_taken_over_and_the_dead_notice(machine, repository):
    begin(machine, ADA)
    age(machine, 61)
    assert machine.ask("state")[1]["lock"]["alive"] is False
    code, result = begin(machine, BOB)
    assert (code, result["instead_of"]["owner"]) == (0, "ada@laptop")
    assert machine.fetched(repository, repository.commit(), lock_id="a1")[0] == 1
    assert "not this run's any more" in machine.failure["what"]
    assert "bob@desk" in machine.failure["why"]
    assert machine.ask("beat", lock_id="a1")[0] == 1
    assert machine.ask("end", lock_id="a1")[0] == 0
    assert machine.ask("state")[1]["lock"]["id"] == "b2"


def test_a_heartbeat_and_a_running_action_are_signs_of_life(machine):
    begin(machine, ADA)
    age(machine, 61)
    assert machine.ask("beat", lock_id="a1")[0] == 0
    assert machine.ask("state")[1]["lock"]["age"] < 60
    age(machine, 61)
    with (machine.root / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert machine.ask("state")[1]["lock"]["alive"] is True


def test_an_owner_who_is_known_to_be_gone_need_not_be_waited_for(machine):
    begin(machine, ADA)
    assert begin(machine, BOB, instead_of="somebody-else")[0] == 1
    assert begin(machine, BOB, instead_of="a1")[0] == 0


def test_a_lock_by_hand_never_dies_and_its_message_is_only_a_message(machine):
    manual = {**ADA, "kind": "manual", "message": NASTY}
    assert machine.ask("lock", lock=manual)[0] == 0
    age(machine, 100_000)
    code, result = begin(machine, BOB)
    assert (code, result["lock"]["message"]) == (1, NASTY)
    assert machine.failure["what"] == "blog is locked"
    assert NASTY in machine.failure["why"]
    assert machine.ask("unlock", which="b2")[1]["lock"] is None
    assert machine.ask("unlock", which="a1")[1]["lock"]["id"] == "a1"
    assert begin(machine, BOB)[0] == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}'])
def test_a_lock_that_cannot_be_read_is_somebodys_until_it_is_old(machine, text):
    (machine.root / "deploy.lock").write_text(text)
    assert begin(machine, BOB)[0] == 1
    assert machine.ask("unlock")[0] == 0
    assert begin(machine, BOB)[0] == 0


def test_a_server_that_is_not_fit_keeps_no_lock(machine, monkeypatch):
    monkeypatch.setattr("release.preflight.LEAST_MB", 10**12)
    assert begin(machine, ADA)[0] == 1
    assert machine.failure["what"] == "The disk is too full for a release"
    assert not (machine.root / "deploy.lock").exists()
    machine.site["uv"] = "/nowhere/uv"
    monkeypatch.undo()
    assert begin(machine, ADA)[0] == 1
    assert "no uv" in machine.failure["what"]
    assert not (machine.root / "deploy.lock").exists()


def test_every_run_is_one_line_that_can_be_read_back(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    begin(machine, ADA)
    machine.ask("end", lock_id="a1", ended={"action": "deploy", "state": "failed", "why": "a\nb", "message": NASTY})
    entries = machine.ask("audit", count=10)[1]["entries"]
    assert [(one["action"], one["state"]) for one in entries] == [("deploy", "ok"), ("deploy", "failed")]
    assert (entries[1]["why"], entries[1]["message"]) == ("a\nb", NASTY)
    log = machine.root / "deploys.log"
    assert [json.loads(line)["site"] for line in log.read_text().splitlines()] == ["blog", "blog"]
    log.write_text(log.read_text() + '{"half')
    assert len(machine.ask("audit", count=10)[1]["entries"]) == 2
    assert len(machine.ask("audit", count=1)[1]["entries"]) == 1


def test_what_the_new_code_needs_is_told_where_it_was_built(machine, repository):
    sha = repository.commit(files={"migrations/0001": "", "migrations/0002": ""})
    assert machine.fetched(repository, sha)[1]["pending"] == ["site.0001", "site.0002"]
    assert machine.database.with_name("database.commands").read_text().split()[:2] == ["check", "showmigrations"]
