"""Two contents of a file go in, their unified diff comes out."""

from __future__ import annotations

from typing import Optional

LONGEST = 256 * 1024  # bytes; beyond that a diff costs seconds and nobody reads it
MOST_LINES = 400


def unified(path: str, old: Optional[bytes], new: bytes) -> str:
    """The diff, or a sentence where there is nothing to read."""
    from difflib import unified_diff

    before = old or b""
    try:
        texts = before.decode(), new.decode()
    except UnicodeDecodeError:
        return f"(binary content: {len(before)} -> {len(new)} bytes)\n"
    if max(len(before), len(new)) > LONGEST or "\0" in texts[1]:
        return f"(content too large to show: {len(before)} -> {len(new)} bytes)\n"
    names = ("/dev/null" if old is None else path, path)
    lines = list(unified_diff(texts[0].splitlines(), texts[1].splitlines(), *names, lineterm=""))
    more = [f"(and {len(lines) - MOST_LINES} more lines)"] if len(lines) > MOST_LINES else []
    return "\n".join([*lines[:MOST_LINES], *more, ""])
