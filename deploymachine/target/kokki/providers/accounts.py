"""Where cookbooks written for Kokki 0.4 look for the providers of users and groups."""

from __future__ import annotations

from kokki.resources.accounts import GroupProvider, UserProvider

__all__ = ["GroupProvider", "UserProvider"]
