"""Git against the real git and a repository in a directory."""

import os
import subprocess

import pytest


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "repository"

    def git(*words):
        argv = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-C", str(path), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def commit(text):
        (path / "file").write_text(text)
        git("add", "file")
        git("commit", "--quiet", "--message", text)
        return git("rev-parse", "HEAD")

    path.mkdir()
    git("init", "--quiet", "--initial-branch", "main")
    commit("one")
    git("tag", "--annotate", "--message", "one", "v1")
    return path, commit


def recipe(path, **arguments):
    more = "".join(f", {key}={value!r}" for key, value in arguments.items())
    return f'Git(OUT + "/app", repository="file://{path}"{more})'


def test_follows_a_branch(world, repository):
    path, commit = repository
    wanted = recipe(path, revision="main")
    assert [world.recipe(wanted, dry_run=dry).code for dry in (True, False, True)] == [2, 0, 0]
    assert (world.out / "app/file").read_text() == "one"
    assert world.recipe(wanted).states == ["ok"]
    new = commit("two")
    (change,) = world.recipe(wanted).of("resource-done")[0]["changes"]
    assert change.endswith(f" -> {new[:12]}")
    assert (world.out / "app/file").read_text() == "two"


def test_a_tag_and_a_hash(world, repository):
    path, commit = repository
    second = commit("two")
    assert world.recipe(recipe(path, revision="v1")).states == ["changed"]
    assert (world.out / "app/file").read_text() == "one"
    assert world.recipe(recipe(path, revision=second)).states == ["changed"]
    path.rename(path.with_name("gone"))
    assert world.recipe(recipe(path, revision=second)).states == ["ok"]  # a hash that is there needs no network


def test_checkout_leaves_what_is_there(world, repository):
    path, commit = repository
    wanted = recipe(path, action="checkout")
    assert world.recipe(wanted).states == ["changed"]
    commit("two")
    assert world.recipe(wanted).states == ["ok"]


def test_notifies(world, repository):
    text = 'late = Execute("late", command="true", action="nothing")\n' + recipe(repository[0])[:-1]
    assert world.recipe(text + ', notifies=[("run", late)])').totals == {"ok": 1, "changed": 2}


def test_local_changes_are_never_lost(world, repository):
    path, commit = repository
    world.recipe(recipe(path))
    (world.out / "app/file").write_text("mine")
    commit("two")
    error = world.recipe(recipe(path)).of("resource-done")[0]["error"]
    assert "git checkout failed" in error["message"]
    assert (world.out / "app/file").read_text() == "mine"


def test_a_clone_that_was_cut_off_is_finished(world, repository):
    subprocess.run(["git", "init", "--quiet", str(world.out / "app")], check=True)
    assert world.recipe(recipe(repository[0])).states == ["changed"]
    assert (world.out / "app/file").read_text() == "one"


def test_what_goes_wrong_is_told(world, repository):
    path, _commit = repository
    error = world.recipe(recipe(path, revision="nope")).of("resource-done")[0]["error"]
    assert error["message"].endswith("has no branch or tag nope")
    error = world.recipe(recipe(path / "none")).of("resource-done")[0]["error"]
    assert "git ls-remote failed" in error["message"]
    (world.out / "app").mkdir()
    (world.out / "app/other").touch()
    error = world.recipe(recipe(path)).of("resource-done")[0]["error"]
    assert error["message"].endswith("is there, is not empty and is no checkout")


def test_a_dry_run_that_can_not_know_says_so(world, repository):
    cooked = world.recipe('File(OUT + "/key", content="x")\n' + recipe(repository[0]), dry_run=True)
    assert cooked.states == ["would-change", "unknown"]
