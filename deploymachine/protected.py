"""The names that something destructive is about in; an error where PROTECTED holds one of them."""

from __future__ import annotations

from deploymachine.errors import UsageError
from deploymachine.settings import Settings


def refuse(what: str, settings: Settings, *names: str) -> None:
    """Raises UsageError where one of `names`, or the deployment itself, is protected.

    what: what was to be done, such as "drop the database blog".
    """
    held = [name for name in dict.fromkeys([*names, settings.DEPLOYMENT]) if name in settings.PROTECTED]
    if held:
        raise UsageError(
            f"PROTECTED in settings.py forbids it: {what}",
            why=f"{held[0]} stands there; no option of any task goes past that",
            hint=f"take {held[0]} out of PROTECTED for as long as you mean it",
        )


def refuse_database(what: str, database: str, settings: Settings) -> None:
    """As `refuse`, for a database: its own name, and those of the sites that use it."""
    sites = [name for name, site in settings.SITES.items() if site.database == database]
    refuse(what, settings, database, *sites)
