"""A site's workers while releases come and go: what was begun is finished, and what does not answer is taken back."""

import sys

import pytest

from tests.unit.release.site_world import until

PROGRAM, NODE = "celery-blog-mail", "blog.mail@tasknode1"
# As Celery does: TERM ends it once it has finished what it has begun.
WORKER = """
import os, pathlib, signal, sys
root = sys.argv[1]
os.chdir(root + "/current")
sys.path.insert(0, ".")
import app
if app.STATUS == 0:
    sys.exit("no such task")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
signal.sigwait({signal.SIGTERM})
with open(root + "/finished", "a") as file:
    file.write(app.WORD + "\\n")
"""
CELERY = """#!/bin/sh
echo "$@" >> {asked}
case {word} in
  silent | dead) echo "Error: No nodes replied within time constraint" >&2; exit 69 ;;
  *) echo '{{"{node}": {{"ok": "pong"}}}}' ;;
esac
"""


@pytest.fixture
def tasknode(machine):
    """The machine with a worker of the site instead of the site itself."""
    script = machine.path / "worker.py"
    script.write_text(WORKER)
    machine.supervisor.programs.clear()
    machine.supervisor.programs[PROGRAM] = lambda: [sys.executable, str(script), str(machine.root)]
    machine.site.update(serves=False, celery_app="blog", programs=[{"name": PROGRAM, "node": NODE}])
    return machine


def built(machine, repository, word, **more):
    """Build a release whose workers answer unless the word is "silent" or "dead"."""
    code, result = machine.fetched(repository, repository.commit(word, requirements=f"{word}\n", **more))
    assert code == 0, machine.failure
    celery = machine.root / "venvs" / result["release"]["venv"] / "bin" / "celery"
    celery.write_text(CELERY.format(asked=machine.path / "asked", word=word, node=NODE))
    celery.chmod(0o755)
    return result["release"]


def switched(machine, repository, word):
    release = built(machine, repository, word)
    code, result = machine.ask("switch", release=release)
    assert code == 0, machine.failure
    return result["current"]


def test_the_first_release_starts_the_workers_and_asks_them_by_name(tasknode, repository):
    name = switched(tasknode, repository, "one")
    assert tasknode.steps == {"switch": "changed", "tasks": "changed"}
    assert f"inspect ping --json --timeout 2 --destination {NODE}" in (tasknode.path / "asked").read_text()
    state = tasknode.ask("state")[1]
    assert (state["current"]["name"], state["running"], state["healthy"]) == (name, True, True)


def test_a_worker_finishes_and_comes_back_with_the_new_release(tasknode, repository):
    switched(tasknode, repository, "one")
    old = tasknode.supervisor.running[PROGRAM].pid
    switched(tasknode, repository, "two")
    assert (tasknode.root / "finished").read_text() == "one\n"
    assert tasknode.supervisor.running[PROGRAM].pid != old


def test_the_same_release_again_disturbs_no_worker(tasknode, repository):
    name = switched(tasknode, repository, "one")
    pid = tasknode.supervisor.running[PROGRAM].pid
    code, result = tasknode.ask("switch", release={**tasknode.ask("state")[1]["current"]})
    assert (code, result["current"], result["changed"]) == (0, name, False)
    assert tasknode.supervisor.running[PROGRAM].pid == pid


def test_workers_that_do_not_answer_go_back_to_the_release_before(tasknode, repository):
    live = switched(tasknode, repository, "one")
    release = built(tasknode, repository, "silent")
    code, result = tasknode.ask("switch", release=release, timeout=1)
    assert (code, result["put_back"], result["put_back_healthy"]) == (1, live, True)
    assert f"{NODE} does not answer within 1 s" in tasknode.failure["why"]
    assert "No nodes replied" in tasknode.failure["why"]
    assert tasknode.ask("state")[1]["current"]["name"] == live
    until(lambda: tasknode.ask("state")[1]["healthy"])


def test_a_worker_that_dies_is_told_of_with_its_last_words(tasknode, repository):
    live = switched(tasknode, repository, "one")
    release = built(tasknode, repository, "dead", status=0)
    code, result = tasknode.ask("switch", release=release)
    assert (code, result.get("put_back")) == (1, live), tasknode.failure
    assert any("no such task" in line for line in tasknode.failure["output"])
    until(lambda: tasknode.ask("state")[1]["healthy"])


def test_a_first_release_that_fails_leaves_no_worker(tasknode, repository):
    release = built(tasknode, repository, "silent")
    assert tasknode.ask("switch", release=release, timeout=1)[0] == 1
    assert PROGRAM not in tasknode.supervisor.running
    assert tasknode.ask("state")[1]["healthy"] is False


def test_a_server_that_supervisor_was_told_nothing_of_is_left_as_it_was(tasknode, repository):
    release = built(tasknode, repository, "one")
    tasknode.supervisor.programs.clear()
    code, _result = tasknode.ask("switch", release=release)
    assert code == 1
    assert f"supervisor knows no program {PROGRAM}" in tasknode.failure["what"]
    assert not (tasknode.root / "current").is_symlink()


def test_a_server_with_nothing_but_cron_only_points_to_the_release(tasknode, repository):
    tasknode.site.update(programs=[], celery_app="")
    name = switched(tasknode, repository, "one")
    assert tasknode.steps == {"switch": "changed"}
    assert tasknode.ask("state")[1]["healthy"] is True
    assert (tasknode.root / "current").readlink().name == name
