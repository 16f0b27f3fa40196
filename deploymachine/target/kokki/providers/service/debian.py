"""Where cookbooks written for Kokki 0.4 look for Debian's provider of services."""

from __future__ import annotations

from kokki.resources.service import ServiceProvider as DebianServiceProvider

__all__ = ["DebianServiceProvider"]
