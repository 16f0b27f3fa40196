"""Where cookbooks written for Kokki 0.4 look for Debian's provider of packages."""

from __future__ import annotations

from kokki.resources.package import AptProvider as DebianAptProvider

__all__ = ["DebianAptProvider"]
