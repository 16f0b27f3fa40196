"""What a user calls a site in, its name out, or a message that says which there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from deploymachine.errors import UsageError


def known(name: str, sites: Iterable[str]) -> str:
    """The name itself where there is such a site. Raises UsageError."""
    names = list(sites)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        raise UsageError(
            f"There is no site {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            why=f"the sites there are: {', '.join(names) or 'none'}",
            hint="name one of those, or add it to SITES in settings.py",
        )
    return name


def chosen(name: str, sites: Iterable[str]) -> str:
    """The same; where none is named, the only one there is. Raises UsageError."""
    names = list(sites)
    if name:
        return known(name, names)
    if len(names) != 1:
        why = f"the sites there are: {', '.join(names)}" if names else "SITES in settings.py names none"
        raise UsageError("Which site?", why=why, hint="`--site NAME` says it")
    return names[0]
