"""A repository behind SSH that lets one key read: asked from here, fetched by a server, the key left nowhere."""

import socket
import threading

import paramiko
import pytest

from deploymachine import deploy_keys
from deploymachine.deploy_keys import deploy_key
from deploymachine.errors import ReleaseError, SettingsError
from deploymachine.inventory import Server
from deploymachine.secrets import Secrets, on_the_wire
from deploymachine.source import resolve
from tests.unit.control.ssh_server import SshServer, serve


@pytest.fixture
def key(tmp_path):
    return deploy_key("blog", "my site; $(x)", Secrets(tmp_path / "secrets.json"))


@pytest.fixture
def forge(tmp_path, key):
    """Whoever keeps the repository: a real SSH server that lets that key in, and no other."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    ours = SshServer(Server("forge", "appnode", "127.0.0.1"), port, paramiko.ECDSAKey.generate(), environment)
    private = tmp_path / "private"
    private.write_text(key.private)
    private.chmod(0o600)
    allowed = paramiko.Ed25519Key.from_private_key_file(str(private)).asbytes()
    private.unlink()
    transports = []
    thread = threading.Thread(target=serve, args=(listener, ours, allowed, transports), daemon=True)
    thread.start()
    yield ours
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for transport in transports:
        transport.close()


@pytest.fixture
def machine(machines):
    return machines["appnode1"]


@pytest.fixture
def known(tmp_path, forge, monkeypatch):
    """This user knows the host's key."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{forge.port} {forge.key_line}\n")


def resolved(forge, repository, tmp_path, key):
    url = f"ssh://git@127.0.0.1:{forge.port}{repository.path}"
    return resolve(url, "main", site="blog", directory=tmp_path, state=tmp_path / "state", key=key)


def test_a_key_is_made_once_and_another_one_when_asked(tmp_path, key):
    secrets = Secrets(tmp_path / "secrets.json")
    assert deploy_key("blog", "my site; $(x)", secrets) == key
    assert key.public.startswith("ssh-ed25519 ")
    assert key.public.endswith(" my-site-x--blog")
    assert "PRIVATE" not in repr(key)
    deploy_keys.replace("blog", secrets)
    assert deploy_key("blog", "", secrets).private != key.private


def test_what_is_no_key_is_said_so(tmp_path):
    secrets = Secrets(tmp_path / "secrets.json")
    secrets.set("deploy-key-blog", "hunter2")
    with pytest.raises(SettingsError, match="is not the private half") as caught:
        deploy_key("blog", "", secrets)
    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("known")
def test_a_server_fetches_with_the_key_and_keeps_nothing_of_it(machine, repository, forge, key, tmp_path):
    sha = repository.commit("one")
    source = resolved(forge, repository, tmp_path, key)
    assert source.sha == sha
    assert source.repository is None
    release = {"name": "20260101T000000Z-one", "sha": sha, "ref": "main", "time": "", "fingerprint": "f"}
    code, _ = machine.ask("build", release=release, source=on_the_wire(source.request(b"")))
    assert code == 0, machine.failure
    said = key.private.splitlines()[2]
    left = [path for path in machine.root.rglob("*") if path.is_file() and said.encode() in path.read_bytes()]
    assert left == []
    assert said not in str(machine.events)


@pytest.mark.usefixtures("known")
def test_a_key_that_is_not_let_in_is_shown_for_whoever_can_let_it_in(repository, forge, tmp_path):
    other = deploy_key("blog", "mysite", Secrets(tmp_path / "other.json"))
    repository.commit()
    with pytest.raises(ReleaseError) as caught:
        resolved(forge, repository, tmp_path, other)
    assert caught.value.what == "The repository of blog can't be read"
    assert other.public in caught.value.hint
    assert "PRIVATE" not in str(caught.value)


def test_a_host_that_nobody_knows_is_not_spoken_to(repository, forge, key, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    repository.commit()
    with pytest.raises(ReleaseError) as caught:
        resolved(forge, repository, tmp_path, key)
    assert caught.value.what == f"Nobody here knows the host key of [127.0.0.1]:{forge.port}"
    assert forge.commands == []


@pytest.mark.usefixtures("known")
def test_a_host_with_another_key_is_not_spoken_to(machine, repository, forge, key, tmp_path):
    sha = repository.commit()
    request = resolved(forge, repository, tmp_path, key).request(b"")
    other = paramiko.ECDSAKey.generate()
    request["known_hosts"] = f"[127.0.0.1]:{forge.port} {other.get_name()} {other.get_base64()}\n"
    release = {"name": "20260101T000000Z-one", "sha": sha, "ref": "main", "time": "", "fingerprint": "f"}
    assert machine.ask("build", release=release, source=on_the_wire(request))[0] == 1
    assert machine.failure["what"] == "The repository of blog can't be fetched"
    assert any("Host key verification failed" in line for line in machine.failure["output"])


def test_who_is_asked_is_read_from_either_form():
    assert deploy_keys.host_of("git@example.org:team/blog.git") == ("example.org", 22)
    assert deploy_keys.host_of("ssh://git@example.org:2222/team/blog.git") == ("example.org", 2222)
