"""Over a real SSH connection: whether a server's first boot is done, and what it complains of."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import paramiko
import pytest
from ssh_server import SshServer

from deploymachine import ssh
from deploymachine.cloud import cloudinit
from deploymachine.cloud.each import Clock, StoppedError
from deploymachine.errors import ConnectError, HostKeyError
from deploymachine.hostkeys import HostKeys
from deploymachine.settings import Settings

HAPPY = {"v1": {"datasource": "DataSourceOpenStack", "errors": []}}


@pytest.fixture
def run_directory(tmp_path: Path, ssh_server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's /run/cloud-init; it has the command, too."""
    command = tmp_path / "bin" / "cloud-init"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    place = tmp_path / "run"
    place.mkdir()
    script = cloudinit.SCRIPT.replace("/run/cloud-init", str(place)).replace("-gt 50", "-gt 1")
    monkeypatch.setattr(cloudinit, "SCRIPT", script)
    monkeypatch.setattr(cloudinit, "PAUSE", 0.01)
    return place


def until_done(server: SshServer, settings: Settings, seconds: float = 20) -> list[str]:
    clock = Clock(threading.Event(), time.monotonic() + seconds)
    return cloudinit.until_done(server.server, server.port, settings, clock)


def test_done_already(run_directory: Path, ssh_server: SshServer, settings: Settings) -> None:
    (run_directory / "result.json").write_text(json.dumps(HAPPY))
    assert until_done(ssh_server, settings) == []
    assert len(ssh_server.commands) == 1


def test_waited_for(run_directory: Path, ssh_server: SshServer, settings: Settings) -> None:
    def finish() -> None:
        while len(ssh_server.commands) < 2:  # it was asked, and asked again
            time.sleep(0.01)
        (run_directory / "result.json").write_text(json.dumps(HAPPY))

    thread = threading.Thread(target=finish)
    thread.start()
    assert until_done(ssh_server, settings) == []
    thread.join()


def test_its_complaints_become_warnings(run_directory: Path, ssh_server: SshServer, settings: Settings) -> None:
    errors = ["('apt_configure', ProcessExecutionError('no such mirror'))"]
    (run_directory / "result.json").write_text(json.dumps({"v1": {"errors": errors}}))
    assert until_done(ssh_server, settings) == [f"cloud-init on appnode1 says: {errors[0]}"]


@pytest.mark.parametrize("result", ["", "nonsense", "{}"])
def test_without_a_result_that_can_be_read(
    run_directory: Path, ssh_server: SshServer, settings: Settings, result: str
) -> None:
    (run_directory / "disabled").touch()
    (run_directory / "result.json").write_text(result)
    assert until_done(ssh_server, settings) == []


def test_an_image_without_cloud_init(
    run_directory: Path, tmp_path: Path, ssh_server: SshServer, settings: Settings
) -> None:
    (tmp_path / "bin" / "cloud-init").unlink()
    assert until_done(ssh_server, settings) == []


def test_one_that_never_ends_is_told_when_time_is_over(
    run_directory: Path, ssh_server: SshServer, settings: Settings
) -> None:
    assert until_done(ssh_server, settings, 0.1) == ["cloud-init on appnode1 is not done yet"]


def test_ctrl_c(run_directory: Path, ssh_server: SshServer, settings: Settings) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        cloudinit.until_done(ssh_server.server, ssh_server.port, settings, Clock(stop, time.monotonic() + 20))


def test_another_host_key_is_never_accepted(run_directory: Path, ssh_server: SshServer, settings: Settings) -> None:
    key = paramiko.ECDSAKey.generate()
    HostKeys(settings).pin("appnode1", "127.0.0.1", ssh_server.port, f"{key.get_name()} {key.get_base64()}")
    with pytest.raises(HostKeyError, match="another host key"):
        until_done(ssh_server, settings)
    assert ssh_server.commands == []


def test_who_holds_no_key_can_not_ask(
    run_directory: Path, directory: Path, ssh_server: SshServer, settings: Settings
) -> None:
    (directory / "id_ed25519").unlink()
    assert until_done(ssh_server, settings) == []
    assert ssh_server.commands == []


def test_an_sshd_that_is_being_restarted_is_asked_again(
    run_directory: Path, ssh_server: SshServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_directory / "result.json").write_text(json.dumps(HAPPY))
    silent = Path(run_directory, "silent")
    real = ssh.connect

    def connect(*arguments: Any) -> ssh.Connection:
        if not silent.exists():
            silent.touch()
            raise ConnectError("appnode1 does not answer on port 22")
        return real(*arguments)

    monkeypatch.setattr(ssh, "connect", connect)
    assert until_done(ssh_server, settings) == []
    assert len(ssh_server.commands) == 1
