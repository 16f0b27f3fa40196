"""What another lognode had taken in comes in front of a lognode's own, each line once, however often it is begun."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import logkeeping
import pytest

OLD = {
    "2026-01-30/web1/nginx.log": "a day before\n",
    "2026-01-31/web1/nginx.log": "in the morning\n",
    "2026-01-31/web2/sshd.log": "alone\n",
}
OWN = {"2026-01-31/web1/nginx.log": "at noon\n", "2026-01-31/web3/nginx.log": "new\n"}
ALL = {**OLD, **OWN, "2026-01-31/web1/nginx.log": "in the morning\nat noon\n"}


class Keeper:
    """A lognode. did: what systemctl was told."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept, self.folder = directory / "kept", directory / "arriving"
        self.did: list[str] = []
        self.write(self.kept, OWN)
        self.write(self.folder, OLD)
        monkeypatch.setattr(logkeeping, "KEPT", str(self.kept))
        monkeypatch.setattr(logkeeping, "_systemctl", self.did.append)

    def write(self, root: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def join(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        self.code = logkeeping.main({"folder": str(self.folder)}, events.append)
        return events

    def files(self) -> dict[str, str]:
        return {str(path.relative_to(self.kept)): path.read_text() for path in self.kept.rglob("*") if path.is_file()}


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    return Keeper(tmp_path, monkeypatch)


def test_they_come_in_front_while_nothing_is_taken_in(keeper: Keeper) -> None:
    assert keeper.join()[-1]["result"] == {"files": 3}
    assert keeper.files() == ALL
    assert keeper.did == ["stop", "start"]
    assert not keeper.folder.exists()
    new = keeper.kept / "2026-01-31/web2/sshd.log"
    assert (new.stat().st_mode & 0o777, new.parent.stat().st_mode & 0o777) == (0o640, 0o750)


def test_again_nothing_is_there_twice(keeper: Keeper) -> None:
    keeper.join()
    assert keeper.join()[-1]["result"] == {"files": 0}
    keeper.write(keeper.folder, OLD)
    keeper.join()
    assert keeper.files() == ALL


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_cut_off_in_between_it_goes_on(keeper: Keeper, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    real, times = os.replace, iter(range(1, 9))

    def replace(source: str, target: str) -> None:
        if next(times) == cut:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(logkeeping.os, "replace", replace)
    told = keeper.join()
    assert keeper.code == 1
    assert "No space left on device" in str(told)
    assert keeper.did == ["stop", "start"]
    monkeypatch.setattr(logkeeping.os, "replace", real)
    keeper.join()
    assert {name: text for name, text in keeper.files().items() if name.endswith(".log")} == ALL
