"""What visitors read while releases come and go."""

import fcntl
import json
import os
import signal

from release.supervisor import children

from tests.unit.release.site_world import until


def test_the_first_release_starts_the_site(machine, repository):
    name = machine.deployed(repository, repository.commit("one"))
    assert machine.word() == "one"
    state = machine.ask("state")[1]
    assert (state["current"]["name"], state["running"], state["healthy"]) == (name, True, True)
    assert state["previous"] is None


def test_the_same_release_again_changes_nothing(machine, repository):
    sha = repository.commit("one")
    machine.deployed(repository, sha)
    pid = machine.supervisor.running["site-blog"].pid
    machine.deployed(repository, sha)
    assert machine.changes == 0
    assert machine.supervisor.running["site-blog"].pid == pid


def test_new_code_in_the_same_virtualenv_keeps_the_master_and_its_socket(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    pid = machine.supervisor.running["site-blog"].pid
    machine.deployed(repository, repository.commit("two"))
    assert machine.word() == "two"
    assert machine.supervisor.running["site-blog"].pid == pid


def test_another_virtualenv_keeps_them_too(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    pid = machine.supervisor.running["site-blog"].pid
    machine.deployed(repository, repository.commit("two", requirements="other\n"))
    assert machine.word() == "two"
    assert machine.supervisor.running["site-blog"].pid == pid


def test_a_program_that_does_not_hear_the_first_time_is_asked_again(machine, repository, monkeypatch):
    machine.deployed(repository, repository.commit("one"))
    monkeypatch.setattr("release.switch.ASK_AGAIN", 0.05)
    dispatch, deaf = machine.supervisor.dispatch, ["once"]

    def deaf_at_first(method, arguments):
        heard = not (method.endswith("signalProcess") and deaf and deaf.pop())
        return dispatch(method, arguments) if heard else True

    monkeypatch.setattr(machine.supervisor, "dispatch", deaf_at_first)
    machine.deployed(repository, repository.commit("two"))
    assert machine.word() == "two"
    assert not deaf


def test_workers_that_never_take_the_new_code_fail_the_release_while_the_old_one_serves(
    machine, repository, monkeypatch
):
    live = machine.deployed(repository, repository.commit("one"))
    new = machine.fetched(repository, repository.commit("two"))[1]["release"]
    dispatch = machine.supervisor.dispatch

    def deaf(method, arguments):
        return True if method.endswith("signalProcess") else dispatch(method, arguments)

    monkeypatch.setattr(machine.supervisor, "dispatch", deaf)
    code, result = machine.ask("switch", release=new, timeout=2)
    assert (code, result["put_back"], result["put_back_healthy"]) == (1, live, True)
    assert "did not take release" in machine.failure["what"]
    assert machine.word() == "one"


def test_a_release_that_answers_503_is_put_back(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    new = machine.fetched(repository, repository.commit("away", status=503))[1]["release"]
    code, result = machine.ask("switch", release=new, timeout=2, by="me@desk")
    assert code == 1
    assert "answers 503" in machine.failure["why"]
    assert "away" in machine.failure["why"]
    assert result == {"put_back": live, "put_back_healthy": True}
    assert machine.word() == "one"
    assert machine.ask("state")[1]["current"]["name"] == live
    last = json.loads((machine.root / "deploys.log").read_text().splitlines()[-1])
    assert (last["state"], last["release"], last["by"]) == ("failed", new["name"], "me@desk")


def test_a_release_that_does_not_boot_is_put_back_and_its_log_is_shown(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    new = machine.fetched(repository, repository.commit("dead", status=0))[1]["release"]
    assert machine.ask("switch", release=new)[0] == 1
    assert "FATAL" in machine.failure["why"]
    assert any("no database here ********" in line for line in machine.failure["output"])
    assert "s3cret" not in str(machine.events) + (machine.root / "deploys.log").read_text()
    assert machine.word() == "one"


def test_a_first_release_that_fails_leaves_nothing_live(machine, repository):
    new = machine.fetched(repository, repository.commit("dead", status=0))[1]["release"]
    code, result = machine.ask("switch", release=new)
    assert (code, result["put_back"]) == (1, None)
    assert not (machine.root / "current").is_symlink()
    assert not machine.ask("state")[1]["running"]


def test_a_switch_that_was_killed_is_finished_by_the_next(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    new = machine.fetched(repository, repository.commit("two"))[1]["release"]
    # As the kill left it: the link moved, the program was not told.
    (machine.root / ".switching").write_text(new["name"])
    (machine.root / "current").unlink()
    (machine.root / "current").symlink_to(f"releases/{new['name']}")
    assert machine.ask("state")[1]["healthy"] is False
    assert machine.ask("switch", release=new)[0] == 0
    assert machine.word() == "two"


def test_a_dead_program_is_brought_back_by_the_same_release(machine, repository):
    sha = repository.commit("one")
    machine.deployed(repository, sha)
    master = machine.supervisor.running["site-blog"]
    for pid in (master.pid, *children(master.pid)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: master.poll() is not None)
    machine.deployed(repository, sha)
    assert machine.word() == "one"


def test_supervisor_away_or_ignorant_moves_nothing(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    new = machine.fetched(repository, repository.commit("two"))[1]["release"]
    machine.site["name"] = "other"
    assert machine.ask("switch", release=new)[0] == 1
    assert machine.failure["what"] == "supervisor knows no program site-other"
    machine.site["supervisor"] = str(machine.path / "nowhere")
    assert machine.ask("switch", release=new)[0] == 1
    assert machine.failure["what"] == "supervisor does not answer"
    assert machine.ask("state")[1]["current"]["name"] == live
    assert machine.word() == "one"


def test_rollback_goes_back_step_by_step_and_no_further(machine, repository):
    names = [
        machine.deployed(repository, repository.commit(word), f"2026010{n}T000000Z-x") for n, word in enumerate("abc")
    ]
    assert machine.ask("rollback")[1]["current"] == names[1]
    assert machine.word() == "b"
    assert machine.ask("rollback")[1]["current"] == names[0]
    assert machine.word() == "a"
    assert machine.ask("rollback")[0] == 1
    assert machine.ask("rollback", to=names[2])[1]["current"] == names[2]
    assert machine.word() == "c"
    assert machine.ask("rollback")[1]["current"] == names[0]
    assert [json.loads(line)["action"] for line in (machine.root / "deploys.log").read_text().splitlines()] == [
        *["deploy"] * 3,
        *["rollback"] * 4,
    ]


def test_rollback_to_an_unknown_release_names_those_there_are(machine, repository):
    name = machine.deployed(repository, repository.commit("one"))
    assert machine.ask("rollback", to="nope")[0] == 1
    assert name in machine.failure["why"]
    assert machine.ask("rollback", to="../../etc")[0] == 1
    assert "is not the name of a release" in machine.failure["what"]


def test_prune_keeps_the_newest_the_live_one_and_the_way_back(machine, repository):
    names = []
    for number in range(7):
        requirements = "old\n" if number == 1 else "django\n"
        sha = repository.commit(str(number), requirements=requirements)
        names.append(machine.fetched(repository, sha, f"2026010{number}T000000Z-x")[1]["release"]["name"])
    for name in (names[2], names[0]):
        state = machine.ask("state")[1]
        release = next(release for release in state["releases"] if release["name"] == name)
        assert machine.ask("switch", release=release)[0] == 0
    _, result = machine.ask("prune", keep=2)
    assert result["removed"] == [names[1], names[3], names[4]]
    assert len(result["removed_venvs"]) == 1
    assert machine.releases() == [names[0], names[2], names[5], names[6]]
    assert machine.ask("prune", keep=2)[1]["changed"] is False
    assert machine.ask("rollback")[1]["current"] == names[2]


def test_two_releases_at_once_are_refused(machine, repository, monkeypatch):
    monkeypatch.setattr("release.lock.PATIENCE", 0)
    sha = repository.commit()
    with (machine.root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert machine.fetched(repository, sha)[0] == 1
        assert machine.failure["what"] == "Two releases at once"
        assert machine.ask("state")[0] == 0
    assert machine.fetched(repository, sha)[0] == 0


def test_migrations_are_listed_applied_once_and_then_nothing_is_pending(machine, repository):
    new = machine.fetched(repository, repository.commit(files={"migrations/0001": "", "migrations/0002": ""}))[1][
        "release"
    ]
    code, result = machine.ask("migrate", release=new)
    assert (code, result["applied"]) == (0, ["site.0001", "site.0002"])
    assert machine.ask("migrate", release=new)[1] == {"applied": [], "changed": False}
    assert machine.steps == {"migrations": "ok"}


def test_a_failing_migration_says_so_and_the_old_release_serves_on(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    new = machine.fetched(repository, repository.commit("two", files={"migrations/0001": "fail"}))[1]["release"]
    assert machine.ask("migrate", release=new)[0] == 1
    assert 'column "name" does not exist' in machine.failure["why"]
    assert "old release goes on serving" in machine.failure["hint"]
    assert machine.word() == "one"


def test_a_migration_can_be_given_a_time(machine, repository):
    slow = "import sys, time\nif sys.argv[1] == 'migrate':\n    time.sleep(60)\nprint('[ ]  a.1')\n"
    new = machine.fetched(repository, repository.commit(files={"manage.py": slow}))[1]["release"]
    assert machine.ask("migrate", release=new, timeout=0.5)[0] == 1
    assert "stopped after 0.5 s" in machine.failure["why"]
