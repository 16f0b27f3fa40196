"""The guard on a server's files, and a run that is only allowed to go on when its change of the way in was proven."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import guard
import pytest
import wayin
from kokki import Execute, Fail, File, Kitchen


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's files below a directory; what would be told to systemd and nft is not."""
    for name, text in {
        "etc/passwd": f"root:x:0:0::/root:/bin/sh\ndeploy:x:1000:{os.getgid()}::/home/deploy:/bin/sh\n",
        "etc/ssh/sshd_config.d/10.conf": "Port 2222\n",
        "etc/sudoers.d/10": "deploy ALL\n",
        "etc/nftables.conf": "old\n",
        "home/deploy/.ssh/authorized_keys": "ada\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(guard, "ROOT", str(tmp_path))
    monkeypatch.setattr(guard, "HOME", str(tmp_path / "state"))
    monkeypatch.setattr(guard, "_run", lambda *command, check=True: None)
    return tmp_path


def test_what_was_changed_added_and_removed_is_put_back(root: Path) -> None:
    guard.snapshot({})
    (root / "etc/ssh/sshd_config.d/10.conf").write_text("Port 9\n")
    (root / "etc/ssh/sshd_config.d/20.conf").write_text("AllowUsers nobody\n")
    (root / "etc/sudoers.d/10").unlink()
    (root / "home/deploy/.ssh/authorized_keys").write_text("eve\n")
    (root / "root/.ssh").mkdir(parents=True)
    (root / "root/.ssh/authorized_keys").write_text("eve\n")
    guard.rollback({})
    assert (root / "etc/ssh/sshd_config.d/10.conf").read_text() == "Port 2222\n"
    assert not (root / "etc/ssh/sshd_config.d/20.conf").exists()
    assert (root / "etc/sudoers.d/10").read_text() == "deploy ALL\n"
    assert (root / "home/deploy/.ssh/authorized_keys").read_text() == "ada\n"
    assert not (root / "root/.ssh/authorized_keys").exists()
    assert not guard.pending()


def test_what_was_confirmed_stays_and_late_confirmations_are_told(root: Path) -> None:
    guard.snapshot({})
    (root / "etc/nftables.conf").write_text("new\n")
    assert guard.confirm({"marker": {"version": 1}}) == {"confirmed": True}
    guard.rollback({})
    assert (root / "etc/nftables.conf").read_text() == "new\n"
    assert json.loads((root / "etc/deploymachine/provisioned.json").read_text()) == {"version": 1}
    assert guard.confirm({}) == {"confirmed": False}


def test_a_snapshot_of_an_unfinished_run_is_the_older_truth(root: Path) -> None:
    guard.snapshot({})
    (root / "etc/nftables.conf").write_text("half\n")
    guard.snapshot({})
    guard.rollback({})
    assert (root / "etc/nftables.conf").read_text() == "old\n"


def test_a_machine_that_goes_down_in_between_is_put_right_at_its_next_boot(root: Path) -> None:
    unit = root / "etc/systemd/system/deploymachine-guard-boot.service"
    wanted = root / "etc/systemd/system/multi-user.target.wants/deploymachine-guard-boot.service"
    guard.snapshot({})
    guard.arm({"seconds": 50})
    assert "guard.py rollback" in unit.read_text()
    assert wanted.resolve() == unit
    guard.confirm({})
    assert not unit.exists()
    assert not wanted.is_symlink()


Declared = Callable[..., Any]


@pytest.fixture
def watched(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Declared]:
    """watched(answer) -> a kitchen whose changes below etc/ssh have to be proven; answer(write end) is called then."""
    monkeypatch.setenv("KOKKI_ROOT", str(root))
    monkeypatch.setattr(wayin, "PATHS", (str(root / "etc/ssh"),))
    read, write = os.pipe()

    def kitchen(answer: Callable[[int], None]) -> Any:
        events: list[dict[str, Any]] = []

        def emit(event: dict[str, Any]) -> None:
            events.append(event)
            if event["event"] == "way-in-changed":
                answer(write)

        made = Kitchen(emit)
        made.update_config({"kokki.backup.path": None})
        made.runner.keeper = wayin.WayIn(emit, read)
        made.events = events
        return made

    yield kitchen
    os.close(read)
    os.close(write)


def declare(kitchen: Any, root: Path) -> None:
    with kitchen:
        reload = Execute("reload", command=["touch", str(root / "reloaded")], action="nothing")
        File(str(root / "etc/ssh/new"), content="x", notifies=[("run", reload)])
        File(str(root / "etc/ssh/other"), content="x")
        File(str(root / "etc/motd"), content="x")


def test_what_is_proven_stays_and_is_asked_about_once_before_anything_else(watched: Declared, root: Path) -> None:
    seen: list[bool] = []

    def confirm(_write: int) -> None:
        seen.append((root / "etc/motd").exists())
        guard.confirm({})

    kitchen = watched(confirm)
    declare(kitchen, root)
    kitchen.run()
    assert seen == [False]
    assert (root / "etc/ssh/new").exists()
    assert [event["event"] for event in kitchen.events if event["event"].startswith("way-in")] == [
        "way-in-changed",
        "way-in-kept",
    ]


def test_what_is_refused_is_put_back_and_nothing_else_is_done(watched: Declared, root: Path) -> None:
    kitchen = watched(lambda write: os.write(write, b"undo\n"))
    declare(kitchen, root)
    with pytest.raises(Fail, match="put back"):
        kitchen.run()
    assert not (root / "etc/ssh/new").exists()
    assert not (root / "etc/motd").exists()


def test_what_nobody_answers_is_put_back_in_time(
    watched: Declared, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wayin, "PATIENCE", 0.1)
    kitchen = watched(lambda write: None)
    declare(kitchen, root)
    with pytest.raises(Fail, match="put back"):
        kitchen.run()
    assert not (root / "etc/ssh/new").exists()


def test_a_run_that_fails_on_the_way_leaves_nothing_unproven(watched: Declared, root: Path) -> None:
    kitchen = watched(lambda write: None)
    with kitchen:
        File(str(root / "etc/ssh/new"), content="x")
        File(str(root / "etc/ssh/checked"), content="x", validate="false %s")
    with pytest.raises(Fail):
        kitchen.run()
    assert not (root / "etc/ssh/new").exists()


def test_nothing_is_asked_where_nothing_of_it_changes(watched: Declared, root: Path) -> None:
    kitchen = watched(lambda write: pytest.fail("it was asked"))
    with kitchen:
        File(str(root / "etc/motd"), content="x")
    kitchen.run()
    assert not guard.pending()
