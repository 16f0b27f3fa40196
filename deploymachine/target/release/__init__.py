"""One request about a site's releases in, events and an exit code out; runs on the server, as root."""

from release.runner import main

__all__ = ["main"]
