"""Line: one line in a file that otherwise belongs to somebody else."""

from __future__ import annotations

from typing import Callable, List, Optional

from kokki.base import BooleanArgument, ResourceArgument
from kokki.exceptions import Fail, InvalidArgument
from kokki.providers import State
from kokki.resources.files import File, FileProvider
from kokki.writing import read_file, trusted_path

__all__ = ["Line"]

Edit = Callable[[List[str], str, Optional[str]], List[str]]


class Line(File):
    """line (the name) is in the file at path, in place of the last line that `match` (a regular expression) finds,
    else at the end. delete: lines that are it, or that match finds, go.  missing_ok: make a file that is not there.
    """

    path = ResourceArgument(required=True)
    line = ResourceArgument(default=lambda resource: resource.name)
    match = ResourceArgument()
    missing_ok = BooleanArgument(default=False)

    claims_path = "part"

    def _validate(self) -> None:
        if "content" in self.arguments:
            raise InvalidArgument(f"{self} takes a line, no content")


class LineProvider(FileProvider):
    def action_delete(self) -> None:
        path = trusted_path(self.resource.path)
        if read_file(path):
            self._change(without)

    def action_create(self) -> None:
        path = trusted_path(self.resource.path)
        if not read_file(path) and not self.resource.missing_ok and not self.env.dry_run:
            raise Fail(f"There is no file {path} to put a line in", hint="missing_ok=True makes one")
        self._change(having)

    def _change(self, edit: Edit) -> None:
        self._edit = edit
        super().action_create()

    def _content(self, current: State) -> State:
        lines = current.get("content", b"").decode().splitlines()
        edited = self._edit(lines, str(self.resource.line), self.resource.match)
        return {"content": "".join(f"{line}\n" for line in edited).encode()}


def having(lines: List[str], line: str, match: Optional[str]) -> List[str]:
    """The lines with line among them."""
    found = _places(lines, line, match)
    if not found:
        return [*lines, line]
    return [*lines[: found[-1]], line, *lines[found[-1] + 1 :]]


def without(lines: List[str], line: str, match: Optional[str]) -> List[str]:
    gone = set(_places(lines, line, match))
    return [text for number, text in enumerate(lines) if number not in gone]


def _places(lines: List[str], line: str, match: Optional[str]) -> List[int]:
    """Where line is; if it is nowhere, where match finds something."""
    import re

    same = [number for number, text in enumerate(lines) if text == line]
    if same or match is None:
        return same
    return [number for number, text in enumerate(lines) if re.search(str(match), text)]
