"""What a template reads goes in; the checksum of what it made of that before comes out, without Jinja2.

Starting Jinja2 costs more than all else that a run does which finds everything right. So a server keeps, of each
template, which names it reads and what it made of which values: nothing but checksums, readable by root alone. What
can't be told for certain is not kept: where a template reads others, or what is no plain data (a cookbook's functions).
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import Any, Callable, Dict, List, Mapping, Optional

from kokki.config import AttributeDictionary
from kokki.paths import private_directory, state_path, write_atomically
from kokki.secrets import Secret

KEPT = 200  # of each template, the newest: it may be used for many files
ENGINE = os.path.dirname(os.path.abspath(__file__))  # another version of it may make something else of a template
Reads = Optional[List[str]]  # None: that can't be told
_ABSENT = object()


class _NotPlainError(Exception):
    """A value that may be another the next time it is asked."""


def recall(name: str, path: str, names: Mapping[str, Any]) -> Optional[str]:
    """The sha256 (hexadecimal) of what the template made of these values before; None where that is not known."""
    known = _load(name, path)
    if known is None:
        return None
    found: Optional[str] = known["made"].get(_key(known["reads"], names))
    return found


def remember(name: str, path: str, find: Callable[[], Reads], names: Mapping[str, Any], text: str) -> None:
    """Keep what the template made, and of what. find: tells what it reads, such as env.config.base.ssh_port."""
    before = _load(name, path)
    known = before or {"source": _source(path), "reads": find(), "made": {}}
    key = _key(known["reads"], names)
    if key is not None:
        others = [(other, made) for other, made in known["made"].items() if other != key]
        known["made"] = dict([*others, (key, sha256(text.encode()).hexdigest())][-KEPT:])
    elif before:
        return
    try:
        private_directory(state_path("templates"))
        write_atomically(_path(name), json.dumps(known).encode())
    except OSError:
        pass  # without it the template is rendered again


def _load(name: str, path: str) -> Optional[Dict[str, Any]]:
    """What is known of the template as it stands there now."""
    try:
        with open(_path(name), encoding="utf-8") as stream:
            known = json.load(stream)
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and known.get("source") == _source(path) else None


def _path(name: str) -> str:
    return os.path.join(state_path("templates"), name.replace("%", "%25").replace("/", "%2f") + ".made")


def _source(path: str) -> str:
    with open(path, "rb") as stream:
        return sha256(stream.read()).hexdigest()


def _key(reads: Reads, names: Mapping[str, Any]) -> Optional[str]:
    """One for these values; None where what it makes may be another for the same."""
    if reads is None:
        return None
    try:
        values = ",".join(f"{path}={_written(_value(path, names))}" for path in reads)
    except _NotPlainError:
        return None
    return sha256(f"{ENGINE},{values}".encode()).hexdigest()


def _value(path: str, names: Mapping[str, Any]) -> Any:
    """What Jinja2 finds under a dotted name: an attribute before an item."""
    root, *parts = path.split(".")
    value = names.get(root, _ABSENT)
    for part in parts:
        try:
            value = getattr(value, part)
        except AttributeError:
            if not isinstance(value, dict):
                return _ABSENT
            value = value.get(part, _ABSENT)
    return value


def _written(value: Any) -> str:
    """Plain data as text that differs wherever the data do. Raises _NotPlainError for anything else."""
    if value is _ABSENT:
        return "absent"
    if value in (repr, str, bool):
        return str(value)
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    if type(value) in (str, Secret):
        return str.__repr__(value)
    if type(value) in (list, tuple):
        return f"[{','.join(map(_written, value))}]"
    if type(value) in (dict, AttributeDictionary):
        return f"{{{','.join(f'{_written(key)}:{_written(item)}' for key, item in value.items())}}}"
    raise _NotPlainError
