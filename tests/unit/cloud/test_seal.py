"""A disk below a directory of the test goes in; what the image would hold comes out."""

import json
from pathlib import Path

import pytest
import seal
from agent import _dispatch

TOKEN = "0123456789abcdef"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\nabc\n-----END PRIVATE KEY-----\n"
OWN = [
    "etc/ssh/ssh_host_ed25519_key",
    "etc/nginx/tls/blog.key",
    "etc/rsyslog.d/tls/server.key",
    "etc/rsyslog.conf",
    "etc/nginx/sites-enabled/site-blog.conf",
    "etc/supervisor/conf.d/site-blog.conf",
    "etc/supervisor/conf.d/celery-blog-mail.conf",
    "etc/supervisor/conf.d/beat-blog.conf",
    "etc/systemd/system/cron-blog-check.service",
    "etc/systemd/system/timers.target.wants/cron-blog-check.timer",
    "swapfile",
    "etc/pgbouncer/userlist.txt",
    "etc/letsencrypt/accounts/1/private_key.json",
    "etc/deploymachine/certificates/server.key",
    "etc/redis/redis.conf",
    "etc/rabbitmq/rabbitmq.conf",
    "var/lib/redis/appendonly.aof",
    "var/lib/rabbitmq/.erlang.cookie",
    "var/lib/rabbitmq/mnesia/rabbit@localhost/schema.DAT",
    "etc/pip.conf",
    "etc/hostname",
    "etc/nftables.conf",
    "etc/shadow-",
    "etc/deploymachine/provisioned.json",
    "home/deploy/.ssh/authorized_keys",
    "home/debian/.ssh/authorized_keys",
    "root/.ssh/authorized_keys",
    "root/.bash_history",
    "srv/sites/blog/shared/env",
    "srv/sites/blog/shared/media/upload.png",
    "srv/sites/blog/.pgpass",
    "srv/sites/blog/repo.git/FETCH_HEAD",
    "srv/sites/blog/deploys.log",
    "var/lib/cloud/instance/user-data.txt",
    "var/lib/deploymachine/way-in-before.tar",
    "var/lib/deploymachine/kokki/backup/etc/x",
    "var/log/nginx/access.log.1",
    "var/log/journal/1/system.journal",
    "var/log/servers/2026-01-31/appnode1/sshd.log",
    "var/spool/rsyslog/to-lognode1.00000001",
    "tmp/x",
]
STAYS = [
    "etc/passwd",
    "etc/nginx/nginx.conf",
    "srv/sites/blog/releases/1/REVISION",
    "srv/sites/blog/venvs/1/bin/python",
    "srv/sites/blog/repo.git/HEAD",
    "var/lib/deploymachine/bundles/1/agent.py",
    "var/log/nginx/access.log",
]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A server's disk; what would have been run is in `disk.ran`."""
    root = tmp_path / "disk"
    monkeypatch.setattr(seal, "ROOT", str(root))
    ran = []
    monkeypatch.setattr(seal, "_run", lambda *command: ran.append(" ".join(command)))
    for name in [*OWN, *STAYS, "etc/machine-id", "etc/hosts"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name} of appnode1\n")
    (root / "etc/deploymachine/bake").write_text(TOKEN)
    return root, ran


def sealed(token=TOKEN, secrets=()):
    told = []
    request = {"command": "seal", "token": token, "user": "deploy", "secrets": [{"$secret": one} for one in secrets]}
    return _dispatch(request, told.append, None), told


def test_what_is_a_servers_own_goes_and_what_takes_long_stays(disk):
    root, ran = disk
    code, told = sealed(secrets=["not to be found anywhere"])
    assert code == 0
    assert told[-1]["state"] == "ok"
    assert [name for name in OWN if (root / name).exists()] == []
    assert [name for name in STAYS if not (root / name).exists()] == []
    assert (root / "etc/machine-id").read_text() == ""
    assert "appnode1" not in (root / "etc/hosts").read_text()
    assert (root / "var/log/nginx/access.log").read_text() == ""
    assert "userdel --force --remove deploy" in ran
    closed = {"nftables.service", "redis-server", "rabbitmq-server", "epmd.socket", "pgbouncer", "swapfile.swap"}
    assert {f"systemctl disable {unit}" for unit in closed} <= set(ran)


def test_secrets_are_overwritten_before_they_go(disk, monkeypatch):
    root, _ = disk
    before = {}
    remove = seal._remove

    def look(path):
        before.update({file: Path(file).read_bytes() for file in seal._files(path)})
        remove(path)

    monkeypatch.setattr(seal, "_remove", look)
    sealed()
    env = before[str(root / "srv/sites/blog/shared/env")]
    assert env == bytes(len(env)) != b""


@pytest.mark.parametrize("secret", ["correct horse battery staple", KEY, 'with "quotes" and\\backslashes'])
def test_a_secret_that_is_left_somewhere_is_named_with_its_file(disk, secret):
    root, _ = disk
    (root / "srv/sites/blog/releases/1/local.py").write_text(f"PASSWORD = '''{secret}'''\n")
    (root / "opt").mkdir()
    (root / "opt/state.json").write_text(json.dumps({"told": "x" * (seal.CHUNK - 5) + secret}))
    code, told = sealed(secrets=[secret])
    assert code == 1
    found = told[-1]["result"]["left"]
    assert "/srv/sites/blog/releases/1/local.py" in found
    assert secret == KEY or "/opt/state.json" in found
    assert all(secret not in json.dumps(event) for event in told)


@pytest.mark.parametrize("token", ["", "another"])
def test_no_server_but_the_copy_is_ever_touched(disk, token):
    root, ran = disk
    assert sealed(token)[0] == 1
    (root / "etc/deploymachine/bake").unlink()
    code, told = sealed()
    assert code == 1
    assert "nothing was touched" in told[0]["what"]
    assert [name for name in OWN if not (root / name).exists()] == []
    assert ran == []


def test_links_are_not_followed(disk, tmp_path):
    root, _ = disk
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "id_ed25519").write_text("somebody's")
    (root / "home/ada").mkdir()
    (root / "home/ada/.ssh").symlink_to(outside)
    sealed()
    assert (outside / "id_ed25519").read_text() == "somebody's"
    assert not (root / "home/ada/.ssh").is_symlink()


def test_a_server_without_any_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(seal, "ROOT", str(tmp_path))
    monkeypatch.setattr(seal, "_run", lambda *_: None)
    (tmp_path / "etc/deploymachine").mkdir(parents=True)
    (tmp_path / "etc/deploymachine/bake").write_text(TOKEN)
    assert sealed()[0] == 0
