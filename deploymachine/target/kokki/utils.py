"""Where cookbooks written for Kokki 0.4 look for AttributeDictionary."""

from __future__ import annotations

from kokki.config import AttributeDictionary

__all__ = ["AttributeDictionary"]
