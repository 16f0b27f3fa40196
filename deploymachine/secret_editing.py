"""All secrets into the user's editor, what they made of it back: checked as a whole before anything is kept."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploymachine.errors import SettingsError, UsageError
from deploymachine.secret_uses import check_name
from deploymachine.secrets import NOTE, Secrets
from deploymachine.secrets_file import Known

IN_MEMORY = Path("/dev/shm")  # noqa: S108 (a file of its own is made there, 0600)


def edited(secrets: Secrets) -> list[str]:
    """The names that were added, changed or removed. Raises UsageError, SettingsError; nothing is changed then."""
    if not sys.stdin.isatty():
        raise UsageError("An editor needs a terminal", hint="`fab secrets.set NAME` takes a value from a pipe")
    before = secrets.file.read()
    shown = {name: value for name, value in before.items() if not name.startswith(NOTE)}
    with _draft(json.dumps(shown, indent=2, sort_keys=True) + "\n", secrets) as path:
        _edit(path)
        after = parsed(path.read_text(encoding="utf-8"), shown)
    changed = sorted(name for name in {*shown, *after} if shown.get(name) != after.get(name))
    if changed:
        secrets.file.change(lambda known: _apply(known, before, after, changed))
    return changed


def parsed(text: str, before: Known) -> Known:
    """What the editor left behind. Raises SettingsError for anything but names and texts."""
    try:
        after = json.loads(text)
    except ValueError as error:
        raise SettingsError("What you wrote is not JSON: nothing was changed", why=str(error)) from None
    if not isinstance(after, dict) or not all(isinstance(value, str) and value for value in after.values()):
        raise SettingsError("What you wrote is not names with texts: nothing was changed")
    for name in after.keys() - before.keys():
        check_name(name)
    return after


def _apply(known: Known, before: Known, after: Known, changed: list[str]) -> None:
    if known != before:
        raise SettingsError("Somebody else changed the secrets meanwhile: nothing of yours was kept")
    for name in changed:
        known.pop(name, None)
        known.pop(f"{name}-hash", None)
        if name in after:
            known[name] = after[name]


@contextmanager
def _draft(text: str, secrets: Secrets) -> Iterator[Path]:
    """A file for the editor, in memory where there is such a place; it is gone afterwards, whatever happens."""
    place = IN_MEMORY if IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK) else secrets.file.plain.parent
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".deploymachine-", dir=place) as directory:  # 0700
        path = Path(directory) / "secrets.json"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        yield path


def _edit(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode
    except (OSError, ValueError) as error:
        raise UsageError(f"The editor {editor!r} can't be run", why=str(error), hint="$EDITOR names it") from None
    if code:
        raise UsageError("The editor ended badly: nothing was changed", why=f"exit code {code}")
