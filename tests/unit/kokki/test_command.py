"""The `kokki` command: roles of a kitchen file, settings, dumps, and what a person reads."""

import json
import subprocess
import sys

import pytest
from kokki.command import main

from deploymachine.bundle import TARGET

KITCHEN = """
def web(kit):
    kit.add_cookbook_path({books!r})
    kit.include_recipe("app")
"""


@pytest.fixture
def kokki(world, monkeypatch, capsys):
    world.book(
        "app",
        metadata='__config__ = {"app.text": dict(default="x")}',
        default=f'from kokki import *\nFile("{world.out}/a", content=str(env.config.app.text), mode=0o600)\n',
    )
    (world.path / "kitchen.py").write_text(KITCHEN.format(books=str(world.books)))
    monkeypatch.chdir(world.path)

    def run(*words):
        code = main(list(words))
        return (code, *capsys.readouterr())

    return run


def test_runs_a_role(world, kokki):
    code, out, _err = kokki("web")
    assert (code, (world.out / "a").read_text()) == (0, "x")
    assert f"+ File[{world.out}/a] created (1 bytes); mode 0600" in out
    code, out, _err = kokki("web")
    assert (code, "File[" in out, "ok: 1 ok" in out) == (0, False, True)


def test_settings_of_the_command_line_win(world, kokki):
    kokki("-o", "app.text=other", "web")
    assert (world.out / "a").read_text() == "other"


def test_a_dry_run(world, kokki):
    code, out, _err = kokki("-n", "web")
    assert (code, "+x" in out, list(world.out.iterdir())) == (2, True, [])


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_dumps_what_would_be_run(world, kokki, kind):
    code, out, _err = kokki("-d", f"{kind}:-", "web")
    found = json.loads(out)
    assert (code, list(world.out.iterdir())) == (0, [])
    assert found["config"]["app"] == {"text": "x"}
    (resource,) = found["resources"]
    assert (resource["type"], resource["arguments"]["mode"]) == ("File", 0o600)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wbe"], "error: kitchen.py has no role wbe; did you mean 'web'?"),
        (["-f", "none.py", "web"], "error: There is no kitchen file none.py"),
        (["-o", "x", "web"], "error: -o x: write KEY=VALUE"),
        (["-d", "xml:-", "web"], "error: -d xml:-: write json:- or yaml:-"),
    ],
)
def test_says_what_is_wrong(kokki, words, message):
    code, _out, err = kokki(*words)
    assert (code, err.splitlines()[0]) == (1, message)


@pytest.fixture
def arguments(kokki):
    return ["-o", "app.text=other", "-d", "json:-", "web"]


def test_in_a_checkout(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "deploymachine.kokki_command", *arguments], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["config"]["app"] == {"text": "other"}


def test_on_a_server(arguments, tmp_path, monkeypatch):
    command = TARGET / "cookbooks" / "base" / "files" / "kokki"
    monkeypatch.setenv("DEPLOYMACHINE_HOME", str(tmp_path / "home"))
    done = subprocess.run(["sh", command, "web"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("kokki: there is no engine")) == (1, True)
    (tmp_path / "home/bundles").mkdir(parents=True)
    (tmp_path / "home/bundles/abc").symlink_to(TARGET)
    done = subprocess.run(["sh", command, *arguments], capture_output=True, check=True)
    assert json.loads(done.stdout)["config"]["app"] == {"text": "other"}
