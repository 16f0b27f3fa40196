"""What people do between two deploys: look at the code that is live, its packages, its virtualenv, another commit."""


def test_the_code_that_is_live_is_told_and_what_somebody_changed_in_it(machine, repository):
    repository.commit("first; $(x) 'words'")
    live = machine.deployed(repository, repository.commit("second", files={"assets/site.css": "a"}))
    code, told = machine.ask("code", count=5)
    assert code == 0, machine.failure
    assert told["release"]["name"] == live
    assert [line.split(": ", 1)[1] for line in told["log"]] == ["second", "first; $(x) 'words'"]
    assert told["changed_files"] == []
    (machine.root / "current" / "app.py").write_text("print('by hand')\n")
    (machine.root / "current" / "requirements.txt").unlink()
    assert machine.ask("code")[1]["changed_files"] == ["M\tapp.py", "D\trequirements.txt"]


def test_another_commit_is_on_when_the_program_was_restarted(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    release = machine.fetched(repository, repository.commit("two"), name="20260102T000000Z-two")[1]["release"]
    assert machine.ask("adopt", release=release)[1] == {"changed": True}
    assert machine.word() == "one"
    assert machine.ask("state")[1]["healthy"] is False
    machine.supervisor.stop("site-blog")
    machine.supervisor.dispatch("supervisor.startProcess", ("site-blog", False))
    from tests.unit.release.site_world import until

    until(lambda: machine.ask("state")[1]["healthy"])
    assert machine.word() == "two"
    assert machine.ask("adopt", release=release)[1] == {"changed": False}
    assert machine.ask("rollback")[0] == 0
    assert machine.word() == "one"


def test_packages_are_listed_and_installed_where_the_live_release_has_them(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    python = (machine.root / "current" / ".venv").resolve() / "bin" / "python"
    assert machine.ask("pip", words=["install", "x; touch owned"])[0] == 0
    assert machine.uv_log.read_text().splitlines()[-1] == f"pip install --python {python} x; touch owned"
    assert machine.steps == {"pip": "changed"}
    assert machine.ask("pip", words=["list"])[0] == 0
    assert machine.steps == {"pip": "ok"}
    assert machine.ask("pip", words=[])[0] == 0
    assert machine.uv_log.read_text().splitlines()[-1].endswith("requirements.txt gunicorn")


def test_a_virtualenv_is_built_anew_beside_the_one_in_use(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    second = machine.deployed(repository, repository.commit("two"), name="20260102T000000Z-two")
    before = (machine.root / "current" / ".venv").resolve()
    code, told = machine.ask("virtualenv", anew=True)
    assert (code, told["changed"]) == (0, True)
    assert {str((path / ".venv").readlink()) for path in (machine.root / "releases").iterdir()} == {
        f"../../venvs/{told['virtualenv']}"
    }
    assert before.is_dir()
    assert machine.ask("prune_virtualenvs")[1]["removed_venvs"] == [before.name]
    assert machine.ask("state")[1]["current"]["name"] == second
    assert machine.ask("virtualenv")[1]["changed"] is False


def test_a_virtualenv_that_is_gone_is_built_where_it_was(machine, repository):
    import shutil

    machine.deployed(repository, repository.commit("one"))
    path = (machine.root / "current" / ".venv").resolve()
    shutil.rmtree(path)
    assert machine.ask("virtualenv")[1] == {"changed": True, "virtualenv": path.name}
    assert (path / "bin" / "python").exists()


def test_a_site_without_a_release_says_so(machine):
    for action in ("code", "virtualenv"):
        assert machine.ask(action)[0] == 1
        assert machine.failure["what"] == "blog has no live release on this server"


def test_half_of_a_virtualenv_does_not_stay_on_a_full_disk(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    before = sorted(path.name for path in (machine.root / "venvs").iterdir())
    (machine.root / ".cache").mkdir(exist_ok=True)
    uv = machine.path / "uv"
    full = "if 'big' in text:\n        os.write(os.open('/dev/full', os.O_WRONLY), b'x')\n    "
    uv.write_text(uv.read_text().replace('if "no-such-package"', full + 'if "no-such-package"'))
    assert machine.fetched(repository, repository.commit("two", requirements="big\n"))[0] == 1
    assert "No space left on device" in machine.failure["why"]
    assert sorted(path.name for path in (machine.root / "venvs").iterdir()) == before
    assert (machine.releases(), machine.word()) == ([live], "one")


def audited(machine, repository, says, code=1):
    """What becomes of an audit whose pip-audit says that."""
    machine.deployed(repository, repository.commit("one"))
    (machine.root / ".cache").mkdir(exist_ok=True)
    uv = machine.path / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$1" = tool ] || exit 0\ncat >&2 <<END\n{says}\nEND\nexit {code}\n')
    return machine.ask("audit_packages")[0]


def test_known_vulnerabilities_are_told(machine, repository):
    found = "Found 2 known vulnerabilities in 1 package\nName   Version ID\n------ ------- ----\ndjango 5.0 PYSEC-1"
    assert audited(machine, repository, found) == 1
    assert "have known vulnerabilities" in machine.failure["what"]


def test_an_audit_that_got_no_answer_says_so(machine, repository):
    for said in (
        "error: Failed to fetch: `https://index/simple/pip-audit/`\n  Caused by: timed out",
        "requests.Timeout",
    ):
        assert audited(machine, repository, said, 2) == 1
        assert machine.failure["what"] == "pip-audit could not ask for vulnerabilities"
        assert machine.failure["why"] in said
        assert "package index" in machine.failure["hint"]
