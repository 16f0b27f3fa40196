"""What a repository's own hooks see, when they run, and what comes of one that fails."""

import pytest

SAY = '#!/bin/sh\necho "$DEPLOYMACHINE_HOOK $DEPLOYMACHINE_ACTION $DEPLOYMACHINE_RELEASE" >> "$DATABASE.hooks"\n'
FAIL = "#!/bin/sh\necho looking\necho 'no; $(touch owned) \"room\"' >&2\nexit 7\n"


def committed(repository, word, executable=True, **hooks):
    """Commit a site with these hooks."""
    repository.commit(word, files={f"deploy/hooks/{name}": text for name, text in hooks.items()})
    for name in hooks:
        repository.git("update-index", f"--chmod={'+' if executable else '-'}x", f"deploy/hooks/{name}")
    repository.git("commit", "--quiet", "--allow-empty", "-m", "hooks")
    repository.git("checkout", "--quiet", "-f", "HEAD")
    return repository.git("rev-parse", "HEAD")


def heard(machine):
    path = machine.database.with_name("database.hooks")
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_hooks_run_at_their_moments_in_the_sites_environment(machine, repository):
    moments = ["build", "before_migrate", "after_migrate", "before_switch", "after_switch"]
    repository.commit(files={"migrations/0001": "", "deploy/hooks/README": "words"})
    release = machine.fetched(repository, committed(repository, "one", **dict.fromkeys(moments, SAY)))[1]["release"]
    assert [words[0] for words in heard(machine)] == ["build"]
    assert machine.ask("migrate", release=release)[0] == 0
    assert machine.ask("switch", release=release)[0] == 0
    assert heard(machine) == [[moment, "deploy", release["name"]] for moment in moments]


def test_a_second_switch_to_the_same_release_calls_no_hook(machine, repository):
    release = machine.fetched(repository, committed(repository, "one", before_switch=SAY))[1]["release"]
    machine.ask("switch", release=release)
    machine.ask("switch", release=release)
    assert len(heard(machine)) == 1


def test_a_hook_that_fails_before_the_switch_keeps_visitors_where_they_are(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    release = machine.fetched(repository, committed(repository, "two", before_switch=FAIL))[1]["release"]
    code, _ = machine.ask("switch", release=release)
    assert code == 1
    assert machine.failure["what"] == "The hook before_switch of blog fails"
    assert machine.failure["why"] == 'no; $(touch owned) "room"'
    assert machine.failure["output"][0] == "looking"
    assert machine.word() == "one"
    assert machine.ask("state")[1]["current"]["name"] == live
    assert machine.ask("state")[1]["healthy"]


def test_a_hook_that_fails_in_a_build_leaves_nothing(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    assert machine.fetched(repository, committed(repository, "two", build=FAIL))[0] == 1
    assert (machine.releases(), machine.word()) == ([live], "one")


def test_a_hook_that_fails_after_the_switch_is_told_and_the_release_serves(machine, repository):
    release = machine.fetched(repository, committed(repository, "two", after_switch=FAIL))[1]["release"]
    code, result = machine.ask("switch", release=release)
    assert (code, result["changed"], machine.word()) == (0, True, "two")
    assert machine.steps["hook after_switch"] == "failed"


def test_the_way_back_is_open_whatever_a_hook_says(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    strict = '#!/bin/sh\n[ "$DEPLOYMACHINE_ACTION" = deploy ]\n'
    two = machine.deployed(repository, committed(repository, "two", before_switch=strict))
    repository.git("rm", "--quiet", "-r", "deploy")
    machine.deployed(repository, repository.commit("three"), name="20270101T000000Z-three")
    code, result = machine.ask("rollback")
    assert (code, result["current"], machine.word()) == (0, two, "two")
    assert machine.steps["hook before_switch"] == "failed"


@pytest.mark.parametrize(
    ("name", "executable", "told"),
    [
        ("before_swich", True, "There is no hook 'before_swich'; did you mean 'before_switch'?"),
        ("build", False, "The hook deploy/hooks/build is not executable"),
    ],
)
def test_a_hook_that_would_never_run_is_named_at_once(machine, repository, name, executable, told):
    assert machine.fetched(repository, committed(repository, "one", executable, **{name: SAY}))[0] == 1
    assert machine.failure["what"] == told


def test_hooks_of_a_site_in_a_directory_are_its_own(tmp_path):
    from tests.unit.release.site_world import Machine, Repository

    repository, machine = Repository(tmp_path / "origin", "web"), Machine(tmp_path, directory="web")
    try:
        assert machine.fetched(repository, repository.commit(files={"deploy/hooks/build": SAY}))[0] == 1
        assert "not executable" in machine.failure["what"]
        assert "--chmod=+x web/deploy/hooks/build" in machine.failure["hint"]
    finally:
        machine.supervisor.close()
