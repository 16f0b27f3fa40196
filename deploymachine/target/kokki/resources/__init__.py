"""Where cookbooks written for Kokki 0.4 look for resources: `from kokki.resources import *`."""

from __future__ import annotations

from typing import Any

__all__ = ["Directory", "Execute", "File", "Group", "Link", "Mount", "Package", "Script", "Service", "User"]


def __getattr__(name: str) -> Any:
    import kokki  # not at the top: kokki itself imports what lies below this package

    if name not in __all__:
        raise AttributeError(name)
    return getattr(kokki, name)
