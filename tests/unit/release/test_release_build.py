"""What a build leaves on the server, and what it says when it can't."""

import shutil

from tests.unit.release.site_world import Machine, Repository


def test_a_build_leaves_a_whole_release_and_touches_nothing_live(machine, repository):
    sha = repository.commit(files={"assets/site.css": "body {}"})
    code, result = machine.fetched(repository, sha)
    assert code == 0
    path = machine.root / "releases" / result["release"]["name"]
    assert (path / "REVISION").read_text() == sha + "\n"
    assert (path / ".venv").resolve().parent == machine.root / "venvs"
    assert (path / "collected" / "site.css").is_file()
    assert (path / "media").resolve() == machine.root / "shared" / "media"
    assert list(path.glob("__pycache__/app.*.pyc"))
    assert not (machine.root / "current").exists()


def test_a_second_build_of_the_same_commit_changes_nothing(machine, repository):
    sha = repository.commit()
    machine.fetched(repository, sha)
    code, result = machine.fetched(repository, sha)
    assert (code, result["changed"], machine.changes) == (0, False, 0)
    assert machine.steps == {"prepare": "ok", "fetch": "ok"}


def test_releases_with_the_same_requirements_share_a_virtualenv(machine, repository):
    first = machine.fetched(repository, repository.commit("one"))[1]["release"]
    second = machine.fetched(repository, repository.commit("two"))[1]["release"]
    third = machine.fetched(repository, repository.commit("three", requirements="django\nredis\n"))[1]["release"]
    assert first["venv"] == second["venv"] != third["venv"]
    assert machine.uv_log.read_text().count("venv ") == 2


def test_an_included_requirements_file_counts(machine, repository):
    files = {"requirements.txt": "-r requirements/base.txt\n", "requirements/base.txt": "django==5\n"}
    first = machine.fetched(repository, repository.commit("one", files=files))[1]["release"]
    files["requirements/base.txt"] = "django==6\n"
    second = machine.fetched(repository, repository.commit("two", files=files))[1]["release"]
    assert first["venv"] != second["venv"]


def test_what_is_installed_from_the_release_itself_is_not_shared(machine, repository):
    first = machine.fetched(repository, repository.commit("one", requirements="./lib\n"))[1]["release"]
    second = machine.fetched(repository, repository.commit("two", requirements="./lib\n"))[1]["release"]
    assert first["venv"] != second["venv"]


def test_pyproject_will_do_where_there_is_no_requirements_file(machine, repository):
    sha = repository.commit(files={"pyproject.toml": "[project]\ndependencies = []\n"})
    repository.git("rm", "--quiet", "requirements.txt")
    repository.git("commit", "--quiet", "-m", "pyproject")
    code, _ = machine.fetched(repository, repository.git("rev-parse", "HEAD"))
    assert code == 0
    assert "pyproject.toml gunicorn" in machine.uv_log.read_text()
    assert sha


def test_no_requirements_at_all_is_said(machine, repository):
    repository.commit()
    repository.git("rm", "--quiet", "requirements.txt")
    repository.git("commit", "--quiet", "-m", "none")
    code, _ = machine.fetched(repository, repository.git("rev-parse", "HEAD"))
    assert code == 1
    assert "requires" in machine.failure["what"]
    assert "settings.py" in machine.failure["hint"]


def test_what_a_killed_run_left_is_removed_and_made_again(machine, repository):
    sha = repository.commit()
    name = machine.fetched(repository, sha)[1]["release"]["name"]
    path = machine.root / "releases" / name
    (path / "REVISION").unlink()
    (path / "app.py").write_text("half")
    other = machine.root / "releases" / "20250101T000000Z-deadbeef"
    other.mkdir()
    assert machine.ask("state")[1]["releases"] == []
    code, _ = machine.fetched(repository, sha)
    assert code == 0
    assert machine.steps["prepare"] == "changed"
    assert machine.releases() == [name]
    assert (path / "app.py").read_text() != "half"


def test_a_virtualenv_that_was_not_finished_is_built_again(machine, repository):
    sha = repository.commit(requirements="die-half-way\n")
    code, _ = machine.fetched(repository, sha)
    assert code == 1
    assert machine.releases() == []
    assert machine.fetched(repository, sha)[0] == 0
    assert machine.uv_log.read_text().count("venv ") == 2


def test_requirements_that_do_not_resolve_leave_the_live_release_alone(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    code, _ = machine.fetched(repository, repository.commit("two", requirements="no-such-package\n"))
    assert code == 1
    assert machine.failure["what"] == "The requirements of blog (requirements.txt) can't be installed"
    assert machine.failure["why"] == "error: no-such-package was not found in the package registry"
    assert machine.failure["output"][0] == "Resolving"
    assert machine.steps["virtualenv"] == "failed"
    assert machine.releases() == [live]
    assert machine.word() == "one"


def test_a_repository_that_can_not_be_fetched_is_named(machine, repository, tmp_path):
    sha = repository.commit()
    code, _ = machine.fetched(repository, sha, source={"kind": "git", "url": str(tmp_path / "nowhere")})
    assert code == 1
    assert machine.failure["what"] == "The repository of blog can't be fetched"
    assert "nowhere" in machine.failure["output"][0]
    assert machine.releases() == []


def test_a_commit_that_is_not_there_is_named(machine, repository):
    repository.commit()
    code, _ = machine.fetched(repository, "0" * 40)
    assert code == 1
    assert "0" * 40 in machine.failure["output"][0] or "0" * 40 in machine.failure["what"]


def test_a_commit_that_no_branch_leads_to_is_fetched_all_the_same(machine, repository):
    sha = repository.commit("one")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    repository.git("commit", "--quiet", "--amend", "-m", "other")
    assert machine.fetched(repository, sha)[0] == 0


def test_names_made_of_shell_words_are_only_names(tmp_path):
    directory = "my site; $(touch owned) 'x\"y"
    repository = Repository(tmp_path / "or i;g$(touch owned)in", directory)
    machine = Machine(tmp_path, directory=directory)
    try:
        sha = repository.commit("quoted")
        repository.git("branch", "b;$(touch${IFS}owned)'\"")
        machine.deployed(repository, sha)
        assert machine.word() == "quoted"
        assert not list(tmp_path.rglob("owned"))
    finally:
        machine.supervisor.close()


def test_a_directory_out_of_the_release_is_refused(machine, repository):
    machine.site["directory"] = "../../other"
    code, _ = machine.fetched(repository, repository.commit())
    assert code == 1
    assert "leads out of" in machine.failure["what"]


def test_a_missing_manage_py_says_where_one_is(machine, repository):
    repository.commit(files={"web/manage.py": ""})
    repository.git("rm", "--quiet", "manage.py")
    repository.git("commit", "--quiet", "-m", "moved")
    code, _ = machine.fetched(repository, repository.git("rev-parse", "HEAD"))
    assert code == 1
    assert "'web'" in machine.failure["hint"]


def test_a_syntax_error_in_the_new_code_never_gets_to_serve(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    code, _ = machine.fetched(repository, repository.commit("two", files={"app.py": "def broken(:\n"}))
    assert code == 1
    assert machine.failure["what"] == "app:application can't be imported"
    assert "SyntaxError" in machine.failure["why"]
    assert machine.word() == "one"


def test_djangos_own_checks_are_heeded(machine, repository):
    code, _ = machine.fetched(repository, repository.commit(files={"check-fails": ""}))
    assert code == 1
    assert "(site.E001)" in machine.failure["why"]


def test_a_failing_collectstatic_shows_no_secret(machine, repository):
    code, _ = machine.fetched(repository, repository.commit(files={"assets/missing": ""}))
    assert code == 1
    assert machine.failure["what"] == "collectstatic fails for blog"
    assert "logo.png" in machine.failure["why"]
    assert "s3cret" not in str(machine.events)


def test_a_site_without_static_files_skips_them(machine, repository):
    assert machine.fetched(repository, repository.commit())[0] == 0
    assert machine.steps["collectstatic"] == "skipped"


def test_a_bundle_is_taken_and_a_damaged_one_refused(machine, repository, tmp_path):
    sha = repository.commit("pushed")
    repository.git("update-ref", "refs/deploymachine/release", sha)
    repository.git("bundle", "create", str(tmp_path / "b"), "refs/deploymachine/release")
    data = (tmp_path / "b").read_bytes()
    code, _ = machine.fetched(repository, sha, attachment=data, source={"kind": "bundle", "size": 1, "sha256": "0"})
    assert code == 1
    assert machine.failure["what"] == "What was pushed arrived damaged"
    from hashlib import sha256

    source = {"kind": "bundle", "size": len(data), "sha256": sha256(data).hexdigest()}
    assert machine.fetched(repository, sha, attachment=data, source=source)[0] == 0
    assert sha in machine.ask("state")[1]["known_shas"]


def test_no_uv_no_root_and_no_user_are_said(machine, repository):
    sha = repository.commit()
    machine.site["uv"] = "/nowhere/uv"
    assert machine.fetched(repository, sha)[0] == 1
    assert machine.failure["where"] == "/nowhere/uv"
    shutil.rmtree(machine.root)
    assert machine.fetched(repository, sha)[0] == 1
    assert "is not there" in machine.failure["what"]
    machine.site["user"] = "no-such-user"
    assert machine.fetched(repository, sha)[0] == 1
    assert "no user 'no-such-user'" in machine.failure["what"]


def test_an_unknown_action_is_refused(machine):
    assert machine.ask("dance")[0] == 1
    assert "rollback" in machine.failure["why"]
