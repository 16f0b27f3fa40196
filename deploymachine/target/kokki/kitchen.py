"""Where cookbooks written for Kokki 0.4 look for Kitchen and Cookbook."""

from __future__ import annotations

from kokki.environment import Cookbook, Kitchen

__all__ = ["Cookbook", "Kitchen"]
