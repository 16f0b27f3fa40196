"""Values that nobody may read enter here; every text that leaves the engine has them replaced."""

from __future__ import annotations

import re
from typing import Any, Optional, Pattern, Set

SHOWN = "(secret)"
# Replacing anything shorter would garble ordinary words and protect nothing.
SHORTEST = 4
SHORTEST_LINE = 16

_known: Set[str] = set()
_pattern: Optional[Pattern[str]] = None


class Secret(str):
    """A str that is a secret: known to `redact` from the moment it is made, hidden in its repr."""

    def __new__(cls, value: str) -> Secret:
        register(value)
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"'{SHOWN}'"


def register(value: str) -> None:
    """Make value, and the forms it takes when quoted for a shell, a URL or JSON, unreadable from now on."""
    global _pattern
    plain = str(value)
    lines = [line for line in plain.splitlines() if len(line) >= SHORTEST_LINE and not line.startswith("-----")]
    forms = {plain, plain.strip(), *lines, plain.replace("'", "'\"'\"'"), _url_quoted(plain), _escaped(plain)}
    _known.update(form for form in forms if len(form) >= SHORTEST)
    _pattern = None


def redact(value: Any) -> Any:
    """value (a str, or lists and dicts of them) without any registered secret."""
    if not _known:
        return value
    if isinstance(value, str):
        return _compiled().sub(SHOWN, value)
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return value


def holds_secret(text: str) -> bool:
    return isinstance(text, Secret) or (bool(_known) and _compiled().search(text) is not None)


def reveal(value: Any) -> Any:
    """A request's value with every `{"$secret": text}` in it made a Secret."""
    if isinstance(value, dict):
        if set(value) == {"$secret"}:
            return Secret(value["$secret"])
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def forget() -> None:
    """Know no secret any more (a new run in the same process)."""
    global _pattern
    _known.clear()
    _pattern = None


def _compiled() -> Pattern[str]:
    global _pattern
    if _pattern is None:
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(_known, key=len, reverse=True)))
    return _pattern


def _url_quoted(text: str) -> str:
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
