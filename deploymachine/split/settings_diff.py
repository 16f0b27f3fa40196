"""settings.py as text and a Change in, the same text with its servers as they are afterwards out, and its diff.

Only what has to change does: entries go from one type's list to another's as they are written, comments stay.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from pathlib import Path

from deploymachine.errors import SettingsError
from deploymachine.settings import Settings
from deploymachine.settings_file import execute
from deploymachine.split.shapes import Change, a
from deploymachine.split.states import booted, settings_with

BOOTED, FIXED = "OPENSTACK_SERVERS", "SERVERS"
CONTEXT = 2  # lines around what differs


@dataclass(frozen=True)
class _List:
    """One type's list: where it stands in the text, and what its elements look like there, by name."""

    kind: str
    key: int
    begin: int
    end: int
    elements: dict[str, str]


def changed(text: str, change: Change, settings: Settings) -> str:
    """The text with the change in it. Raises SettingsError where its servers are not written out there."""
    setting = named_in(settings)
    lists = _lists(text, setting)
    entries = {name: written for one in lists for name, written in one.elements.items()}
    about = {*change.before, *change.after} if setting == BOOTED else {*change.after}
    wanted: dict[str, list[str]] = {
        one.kind: [written for name, written in one.elements.items() if name not in about] for one in lists
    }
    known = {name: one for name, (_, one) in settings.booted().items()}
    for name, kind in change.after.items():
        if name in entries:
            wanted.setdefault(kind, []).append(entries[name])
        elif (one := booted(name, change, known)) is not None:
            told = {key: value for key, value in one.model_dump().items() if value not in (None, (), [])}
            pair = set(told) == {"name", "flavor"}
            wanted.setdefault(kind, []).append(_pair(one.name, one.flavor) if pair else _quoted(told))
    return _with_lists(text, lists, wanted)


def named_in(settings: Settings) -> str:
    """The setting that names the servers of a change."""
    return BOOTED if settings.OPENSTACK_SERVERS else FIXED


def diff(before: str, after: str, name: str) -> str:
    """As `diff -u` shows it; "" where nothing differs."""
    old, new = before.splitlines(), after.splitlines()
    lines = []
    # Not difflib.unified_diff: in a file of more than 200 lines it takes a line with a bracket only for noise.
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        lines.append(f"@@ -{_span(group[0][1], group[-1][2])} +{_span(group[0][3], group[-1][4])} @@")
        for kind, begin, end, new_begin, new_end in group:
            if kind == "equal":
                lines += [f" {line}" for line in old[begin:end]]
                continue
            lines += [f"-{line}" for line in old[begin:end]]
            lines += [f"+{line}" for line in new[new_begin:new_end]]
    return "\n".join([f"--- {name}", f"+++ {name}", *lines]) if lines else ""


def _span(begin: int, end: int) -> str:
    return f"{begin + 1},{end - begin}"


def apply(path: Path, after: str, change: Change, settings: Settings) -> None:
    """Write the text in place of the file, once it was read and says what it has to. Raises SettingsError."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(after, encoding="utf-8")
        temporary.chmod(path.stat().st_mode & 0o777)
        _check(temporary, path, change, settings)
        temporary.replace(path)
    except OSError as error:
        raise SettingsError("The settings can't be written", where=str(path), why=error.strerror) from None
    finally:
        temporary.unlink(missing_ok=True)


def _check(temporary: Path, path: Path, change: Change, settings: Settings) -> None:
    setting = named_in(settings)
    found = execute(temporary).get(setting, {})
    there = {_name_of(one): kind for kind, every in found.items() for one in every}
    wanted = {name: kind for name, (kind, _) in settings_with(change.after, change, settings).booted().items()}
    if setting == FIXED:
        listed = {one.name: kind for kind, every in settings.SERVERS.items() for one in every}
        wanted = {**listed, **change.after}
    if there != wanted:
        raise by_hand(path, change, setting)


def by_hand(path: Path, change: Change, setting: str) -> SettingsError:
    """What is said where the file can't be changed by us."""
    told = ", ".join(f"{name} is {a(kind)}" for name, kind in change.after.items())
    gone = f"; {', '.join(change.going)}: not there any more" if change.going else ""
    return SettingsError(
        f"{path.name} has to be changed by hand",
        where=str(path),
        why=f"{setting} is not written out there as a dictionary of lists",
        hint=f"have it say: {told}{gone}",
    )


def _name_of(entry: object) -> str:
    return str(entry["name"] if isinstance(entry, dict) else entry[0])  # type: ignore[index]


def _pair(name: str, flavor: str) -> str:
    return f'("{name}", "{flavor}")'


def _quoted(told: dict[str, object]) -> str:
    inner = ", ".join(f'"{key}": {_literal(value)}' for key, value in told.items())
    return f"{{{inner}}}"


def _literal(value: object) -> str:
    return '"' + value + '"' if isinstance(value, str) and '"' not in value else repr(value)


def _lists(text: str, setting: str) -> list[_List]:
    node = _assigned(text, setting)
    starts = [0]
    for line in text.splitlines(True):
        starts.append(starts[-1] + len(line.encode()))
    data = text.encode()

    def place(line: int, column: int) -> int:
        return starts[line - 1] + column

    found = []
    for key, value in zip(node.keys, node.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(value, ast.List | ast.Tuple) or value.end_lineno is None:
            raise _not_written_out(setting)
        elements = {}
        for one in value.elts:
            begin, end = place(one.lineno, one.col_offset), place(one.end_lineno or 0, one.end_col_offset or 0)
            elements[_element_name(one, setting)] = data[begin:end].decode()
        begin, end = place(value.lineno, value.col_offset), place(value.end_lineno, value.end_col_offset or 0)
        found.append(_List(str(key.value), place(key.lineno, key.col_offset), begin, end, elements))
    return found


def _assigned(text: str, setting: str) -> ast.Dict:
    """The last assignment to it. Raises SettingsError where that is no dictionary written out."""
    found: ast.expr | None = None
    for node in ast.parse(text).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == setting:
            found = node.value  # type: ignore[attr-defined]
    if not isinstance(found, ast.Dict):
        raise _not_written_out(setting)
    return found


def _element_name(one: ast.expr, setting: str) -> str:
    first: ast.expr | None = None
    if isinstance(one, ast.Tuple | ast.List) and one.elts:
        first = one.elts[0]
    elif isinstance(one, ast.Dict):
        named = zip(one.keys, one.values, strict=True)
        first = next((v for k, v in named if isinstance(k, ast.Constant) and k.value == "name"), None)
    if not isinstance(first, ast.Constant):
        raise _not_written_out(setting)
    return str(first.value)


def _not_written_out(setting: str) -> SettingsError:
    return SettingsError(f"{setting} is not written out as a dictionary of lists")


def _with_lists(text: str, lists: list[_List], wanted: dict[str, list[str]]) -> str:
    """Lists with other elements are written anew; where one goes, new ones come, else they come after the last."""
    data, known = text.encode(), {one.kind for one in lists}
    new = _entries(data, lists, {kind: every for kind, every in wanted.items() if kind not in known})
    going = [number for number, one in enumerate(lists) if not wanted[one.kind] and one.elements]
    edits = [
        (one.begin, one.end, f"[{', '.join(wanted[one.kind])}]")
        for one in lists
        if wanted[one.kind] and wanted[one.kind] != list(one.elements.values())
    ]
    if new and going:
        replaced = lists[going.pop(0)]
        edits.append((replaced.key, replaced.end, new))
    elif new:
        edits.append((lists[-1].end, lists[-1].end, f",{_between(data, lists)}{new}"))
    for number in going:
        if number + 1 < len(lists):
            edits.append((lists[number].key, lists[number + 1].key, ""))
        elif number:
            edits.append((lists[number - 1].end, lists[number].end, ""))
    for begin, end, written in sorted(edits, reverse=True):
        data = data[:begin] + written.encode() + data[end:]
    return data.decode()


def _entries(data: bytes, lists: list[_List], new: dict[str, list[str]]) -> str:
    return f",{_between(data, lists)}".join(f'"{kind}": [{", ".join(every)}]' for kind, every in new.items())


def _between(data: bytes, lists: list[_List]) -> str:
    """What stands between two entries, after the comma: a new line and its indentation, or a space."""
    first = lists[0].key
    indent = data[data.rfind(b"\n", 0, first) + 1 : first]
    return " " if indent.strip() else f"\n{indent.decode()}"
