"""What a deploy would do, told beforehand; the site's own hooks; tables that no message can play tricks in."""

import pytest
from invoke.context import Context

from deploymachine.errors import DeployMachineError, ReleaseError
from deploymachine.inventory import Inventory, Server
from deploymachine.releases import looking, plan
from deploymachine.releases.looking import Answer, audit_rows, lock_told, release_rows, status_rows
from deploymachine.releases.values import Release
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings
from deploymachine.tasks._hooks import hooks

SERVERS = [Server("appnode1", "appnode", "10.0.0.1"), Server("appnode2", "appnode", "10.0.0.2")]
NASTY = 'a "freeze"; $(reboot)\n\x1b[31mit\'s red\tand wide'
RELEASE = Release("20260101T000000Z-abc", "a" * 40, "main", "", "f")


@pytest.fixture
def deployment(tmp_path, repository):
    site = {"repository": "origin", "wsgi": "app:application", "settings_module": "settings"}
    settings = Settings(
        directory=tmp_path,
        DEPLOYMENT="test",
        OPENSTACK_SERVERS={"appnode": (("appnode1", "small"), ("appnode2", "small"))},
        ADMIN_SSH_KEYS=("ssh-ed25519 AAAA",),
        SITES={"blog": site},
    )
    return Deployment(settings, Inventory(SERVERS), Secrets(tmp_path / "secrets.json"))


def told(monkeypatch, **states):
    """Have the servers tell these states."""
    found = [Answer(server, "blog", states[server.name]) for server in SERVERS]
    monkeypatch.setattr(plan, "answers", lambda *_: found)


def serving(sha, **more):
    return {"current": {"name": "r", "sha": sha}, "healthy": True, **more}


def test_commits_migrations_and_requirements_are_foreseen(monkeypatch, deployment, repository):
    old = repository.commit("one")
    repository.commit("two", files={"entries/migrations/0002_more.py": "", "entries/migrations/__init__.py": ""})
    new = repository.commit(f"three {NASTY}", requirements="django\ncelery\n")
    told(monkeypatch, appnode1=serving(new), appnode2=serving(old))
    found = plan.foresee("blog", None, SERVERS, deployment, (1, "100%"))
    text = "\n".join(found.lines)
    assert found.pending
    assert f"appnode2: {old[:8]} -> {new[:8]}, 2 commits to come" in text
    assert "migrations: entries.0002_more" in text
    assert "requirements: requirements.txt changed: a new virtualenv" in text
    assert "batch 1: appnode1 (as it is)" in text
    assert "batch 2: appnode2 (switched)" in text
    assert "\x1b" not in text


def test_nothing_to_do_is_nothing_to_do_and_a_lock_is_told(monkeypatch, deployment, repository):
    sha = repository.commit("one")
    lock = {"kind": "manual", "owner": "ada@laptop", "time": "t", "message": "a freeze", "alive": True}
    told(monkeypatch, appnode1=serving(sha), appnode2=serving(sha, lock=lock))
    found = plan.foresee("blog", None, SERVERS, deployment, (1,))
    assert not found.pending
    assert "appnode2: locked: manual by ada@laptop t a freeze" in found.lines


@pytest.mark.parametrize("state", [{}, {"current": None, "healthy": False}])
def test_a_first_release_and_an_unknown_one_are_told_as_such(monkeypatch, deployment, repository, state):
    repository.commit("one")
    told(monkeypatch, appnode1=state, appnode2=serving("f" * 40))
    text = "\n".join(plan.foresee("blog", None, SERVERS, deployment, (1,)).lines)
    assert "the first release on appnode1" in text
    assert "appnode2: ffffffff, which is not in that repository" in text


def test_hooks_are_called_by_name_with_what_they_take(tmp_path):
    (tmp_path / "fab_local.py").write_text(
        "from invoke.tasks import task\n"
        "CALLS = []\n"
        "@task(name='before_deploy')\n"
        "def everywhere(c, site): print('any', site)\n"
        "@task(name='before_deploy.blog')\n"
        "def blog(c, release, servers, loud=False): print(release, servers, loud)\n"
        "@task(name='after_deploy.shop')\n"
        "def shop(c): raise SystemExit('not this one')\n"
    )
    call = hooks(Context(), tmp_path)
    call("before_deploy", "blog", RELEASE, ("appnode1",))
    call("after_deploy", "blog", RELEASE, ("appnode1",))


def test_a_hook_that_fails_is_one_message_that_says_what_stays(tmp_path, capsys):
    (tmp_path / "fab_local.py").write_text(
        "from invoke.tasks import task\n@task(name='after_deploy.blog')\ndef after(c): raise ValueError('no cake')\n"
    )
    with pytest.raises(ReleaseError) as caught:
        hooks(Context(), tmp_path)("after_deploy", "blog", RELEASE, ())
    assert "after_deploy.blog of blog fails" in caught.value.what
    assert caught.value.why == "no cake"
    assert "live on every server" in caught.value.hint


def test_a_table_has_one_line_for_each_whatever_was_said():
    entry = {"time": "2", "site": "blog", "action": "deploy", "state": "ok", "message": NASTY, "by": NASTY}
    first = Answer(SERVERS[0], "blog", {"entries": [entry, {"time": "1"}]})
    rows = audit_rows([first, Answer(SERVERS[1], "blog", {"entries": [{"time": "3"}]})], 2)
    assert [row[0] for row in rows] == ["2", "3"]
    assert not [cell for row in rows for cell in row if "\n" in cell or "\x1b" in cell]
    lock = {"kind": "deploy", "owner": "ada", "age": 75.2, "alive": False, "time": "t", "message": NASTY}
    assert lock_told(lock)[0] == "deploy by ada, heard of 75 s ago: dead"
    assert "\n" not in lock_told(lock)[2]


def test_a_silent_server_has_its_row_too():
    gone = Answer(SERVERS[1], "", {}, DeployMachineError("appnode2 does not answer"))
    here = Answer(SERVERS[0], "blog", {**serving("a" * 40), "releases": [{"name": "r", "sha": "a" * 40}]})
    assert [row[0] for row in status_rows([here, gone])] == ["appnode1", "appnode2"]
    assert next(release_rows([here]))[-1] == "live"
    with pytest.raises(DeployMachineError, match="appnode2"):
        looking.raised([here, gone])


@pytest.mark.parametrize(("value", "why"), [([], "is empty"), (["0%"], "'0%' is no size"), ([1, "lots"], "'lots' is")])
def test_a_batch_that_is_none_is_told_with_its_setting(deployment, value, why):
    with pytest.raises(ValueError, match=why):
        Settings(**{**deployment.settings.model_dump(), "BATCH": value})
