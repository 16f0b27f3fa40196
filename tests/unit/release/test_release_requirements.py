"""What decides about a virtualenv: requirements files, pyproject.toml and uv.lock, extras; and what a build adds."""

import json

LOCK = """version = 1
[[package]]
name = "site"
source = { editable = "." }
[[package]]
name = "lib"
source = { %s = "lib" }
"""
PROJECT = "[project]\nname = 'site'\nversion = '1'\ndependencies = []\n"


def projects(repository, *more, **files):
    """Commit a site without a requirements.txt."""
    repository.commit(files={name.replace("_", "."): text for name, text in files.items()})
    repository.git("rm", "--quiet", "--ignore-unmatch", "requirements.txt")
    repository.git("commit", "--quiet", "--allow-empty", "-m", "project", *more)
    return repository.git("rev-parse", "HEAD")


def test_extras_of_a_project_are_installed_and_make_another_virtualenv(machine, repository):
    sha = projects(repository, pyproject_toml=PROJECT)
    first = machine.fetched(repository, sha)[1]["release"]
    machine.site["extras"] = ["postgres", "redis"]
    second = machine.fetched(repository, sha, name="20260102T000000Z-second")[1]["release"]
    assert first["venv"] != second["venv"]
    assert "pyproject.toml --extra postgres --extra redis gunicorn" in machine.uv_log.read_text()


def test_a_lock_file_is_exported_and_installed_as_it_stands(machine, repository):
    sha = projects(repository, pyproject_toml=PROJECT, uv_lock=LOCK % "registry")
    machine.site["extras"] = ["postgres"]
    code, _ = machine.fetched(repository, sha)
    assert code == 0, machine.failure
    told = machine.uv_log.read_text().splitlines()
    exported = next(line for line in told if line.startswith("export"))
    assert "--frozen" in exported
    assert "--extra postgres" in exported
    assert [line.split("python ")[-1].split()[-1] for line in told if line.startswith("pip")][-1] == "gunicorn"


def test_a_lock_file_that_installs_a_part_of_the_repository_is_not_shared(machine, repository):
    shared = []
    for kind in ("registry", "directory", "editable"):
        for word in ("one", "two"):
            sha = projects(repository, pyproject_toml=PROJECT, uv_lock=LOCK % kind, other_py=f"{kind}{word}")
            shared.append(machine.fetched(repository, sha)[1]["release"]["venv"])
    assert shared[0] == shared[1]
    assert len(set(shared)) == 5


def test_extras_of_a_plain_requirements_file_are_refused(machine, repository):
    machine.site["extras"] = ["postgres"]
    code, _ = machine.fetched(repository, repository.commit())
    assert code == 1
    assert machine.failure["what"] == "requirements.txt knows no extras, and settings.py wants postgres"
    assert "pyproject.toml" in machine.failure["hint"]


def test_commands_of_the_settings_are_part_of_a_build(machine, repository):
    machine.site["build_commands"] = [["compilemessages", "--use-fuzzy"]]
    assert machine.fetched(repository, repository.commit(files={"assets/site.css": ""}))[0] == 0
    assert machine.steps["compilemessages"] == machine.steps["collectstatic"] == "changed"


def test_who_names_collectstatic_decides_when_it_runs(machine, repository):
    machine.site["build_commands"] = [["collectstatic", "--noinput"], ["compress", "--force"]]
    assert machine.fetched(repository, repository.commit(files={"assets/site.css": ""}))[0] == 0
    said = machine.database.with_name("database.commands").read_text().split()
    assert said[-2:] == ["collectstatic", "compress"]
    assert said.count("collectstatic") == 1


def test_a_command_that_fails_leaves_the_live_release_alone(machine, repository):
    live = machine.deployed(repository, repository.commit("one"))
    machine.site["build_commands"] = [["collectstatic", "--noinput"]]
    code, _ = machine.fetched(repository, repository.commit("two", files={"assets/missing": ""}))
    assert code == 1
    assert machine.failure["what"] == "manage.py collectstatic --noinput fails for blog"
    assert "build_commands" in machine.failure["hint"]
    assert "s3cret" not in json.dumps(machine.events)
    assert (machine.releases(), machine.word()) == ([live], "one")
