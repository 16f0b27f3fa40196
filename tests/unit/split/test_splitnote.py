"""The copy of the journal that a server keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import splitnote


def asked(action: str, note: str | None = None) -> Any:
    events: list[dict[str, Any]] = []
    assert splitnote.main({"action": action, "note": note}, events.append) == 0
    return events[-1]["result"]["note"]


def test_a_note_is_kept_told_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitnote, "HOME", str(tmp_path / "state"))
    assert asked("tell") is None
    assert asked("keep", '{"step": 1}') == '{"step": 1}'
    assert asked("keep", '{"step": 2}') == '{"step": 2}'
    file = tmp_path / "state" / "split.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["split.json"]
    assert asked("forget") is None
    assert asked("forget") is None
