"""`kokki -f kitchen.py ROLE…` in a checkout: the engine that deploymachine brings to servers, run where you are."""

from __future__ import annotations

import sys

from deploymachine.bundle import TARGET


def main() -> int:
    """The console script. Returns the exit code: 0, 2 for a dry run that found changes, 1 for an error."""
    sys.path.insert(0, str(TARGET))
    from kokki.command import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
