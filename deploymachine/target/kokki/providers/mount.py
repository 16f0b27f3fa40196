"""Where cookbooks written for Kokki 0.4 look for the provider of mounts."""

from __future__ import annotations

from kokki.resources.mount import MountProvider

__all__ = ["MountProvider"]
