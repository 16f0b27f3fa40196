"""git, pip and virtualenv of a site: what is refused before any server is asked, and what is shown of answers."""

from __future__ import annotations

from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from deploymachine.contrib import git, pip, virtualenv
from deploymachine.releases.looking import Answer
from deploymachine.servertypes import Deployment
from deploymachine.tasks import _selection


@pytest.fixture
def asked(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What servers were asked; each answers with `answer`."""
    calls: list[Any] = [{}]

    def answers(sites: Any, servers: Any, _: Any, action: str, **more: Any) -> list[Answer]:
        calls.append((*sites, [server.name for server in servers], action, more))
        return [Answer(server, "blog", calls[0]) for server in servers]

    monkeypatch.setattr("deploymachine.releases.looking.answers", answers)
    monkeypatch.setattr("deploymachine.contrib._site.deployment", lambda: deployment)
    monkeypatch.setattr("deploymachine.contrib.git.deployment", lambda: deployment)
    _selection.forget()
    _selection.select("appnode", lambda inventory: inventory.of_type("appnode"))
    return calls


def tasks() -> list[Any]:
    return [one for module in (git, pip, virtualenv) for one in vars(module).values() if isinstance(one, Task)]


@pytest.mark.parametrize("one", tasks(), ids=lambda one: f"{one.body.__module__.rpartition('.')[2]}.{one.name}")
def test_help_says_what_with_an_example(one: Any) -> None:
    assert "`fab " in one.__doc__.partition("\n")[0]
    assert {argument.name for argument in one.get_arguments() if not argument.help} == set()


@pytest.mark.parametrize("packages", ["", " ", "-r/etc/passwd", "x;y", "--index-url=http://x", "a/b", "git+https://x"])
def test_what_is_no_package_reaches_no_server(asked: list[Any], packages: str) -> None:
    with pytest.raises(Exit, match=r"Which packages|is not the name of a package"):
        pip.install(Context(), packages)
    assert len(asked) == 1


def test_packages_go_to_every_server_that_was_selected(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    asked[0] = {"output": ["a \x1b[31mline"]}
    pip.install(Context(), "ipython==9.1 django-extensions[x]>=4")
    words = ["install", "ipython==9.1", "django-extensions[x]>=4"]
    assert asked[1:] == [("blog", ["appnode1", "appnode2"], "pip", {"words": words})]
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "appnode1: a \\x1b[31mline"
    assert "appnode2: installed ipython==9.1 django-extensions[x]>=4" in said


def test_a_changed_file_shows(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    release = {"sha": "a" * 40, "ref": "main", "name": "20260101T000000Z-aaaaaaaa"}
    asked[0] = {"release": release, "changed_files": ["M\tapp.py"], "settled": False}
    git.status(Context())
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("appnode1: aaaaaaaa of main, release 20260101T000000Z-aaaaaaaa, which may wait for")
    assert said[1] == "appnode1:   changed by hand: M app.py"


def test_nonsense_is_refused(asked: list[Any]) -> None:
    with pytest.raises(Exit, match="--count is a number of commits"):
        git.log(Context(), count=0)
    with pytest.raises(Exit, match="--ref is empty"):
        git.checkout(Context(), " ")
    with pytest.raises(Exit, match="There is no site 'blgo'; did you mean 'blog'"):
        virtualenv.rebuild(Context(), "blgo")
    assert len(asked) == 1


@pytest.mark.usefixtures("asked")
def test_a_deploy_key_is_printed_and_another_is_made_only_when_somebody_agrees(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    git.deploy_key(Context())
    git.deploy_key(Context())
    first, again = capsys.readouterr().out.splitlines()
    assert first == again
    assert first.startswith("ssh-ed25519 ")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(Exit, match="needs a confirmation"):
        git.deploy_key(Context(), rotate=True)
    git.deploy_key(Context(), rotate=True, yes=True)
    assert capsys.readouterr().out.strip() != first
