"""What stands where a cloud would, for servers that are on none: whatever a cloud would be told, nobody has to be told.

Their types stand in settings.py alone, so that has to be changed before a change is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


class NoCloud:
    """The methods of a Cloud that a split calls."""

    def keep_groups(self) -> None:
        """There are no security groups; servers' own firewalls are cooked."""

    def publish_host_keys(self) -> None:
        """They are pinned here, and nobody else tells them."""

    def retype(self, kinds: Mapping[str, str]) -> None:
        """The journal tells the types meanwhile, settings.py afterwards."""

    def set_aside(self, names: Iterable[str]) -> None:
        """Nobody goes in a split."""

    def bring_back(self, names: Iterable[str]) -> None:
        """Nobody was set aside."""

    def delete(self, names: Iterable[str], progress: Callable[[str, str], None]) -> None:
        """Nobody was booted."""
