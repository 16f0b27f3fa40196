"""Where cookbooks written for Kokki 0.4 look for the providers of files and commands."""

from __future__ import annotations

from kokki.resources.execute import ExecuteProvider, ScriptProvider
from kokki.resources.files import DirectoryProvider, FileProvider, LinkProvider

__all__ = ["DirectoryProvider", "ExecuteProvider", "FileProvider", "LinkProvider", "ScriptProvider"]
