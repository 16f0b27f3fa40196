"""Where cookbooks written for Kokki 0.4 look for the provider of services that theirs extend."""

from __future__ import annotations

from kokki.resources.service import ServiceProvider

__all__ = ["ServiceProvider"]
