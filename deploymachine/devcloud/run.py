"""An argv list goes in, its output comes out; a failure becomes a DevcloudError with the command's own words."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploymachine.errors import DevcloudError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # sudo and cron may lack the sbin half


def run(
    argv: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Standard output of a finished command. Raises DevcloudError if it can't be run or exits non-zero."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, check=False, env=system_environment(env or {}), cwd=cwd
        )
    except OSError as error:
        raise DevcloudError(f"{argv[0]} can't be run", why=str(error)) from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise DevcloudError(f"command failed ({done.returncode}): {shlex.join(argv)}", evidence=lines[-12:])
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether the command exits 0: for questions (is it there?) and for removals of what may be gone already."""
    return subprocess.run(argv, capture_output=True, check=False, env=system_environment({})).returncode == 0


def system_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a system tool: the sbin directories on its PATH, messages untranslated so we can show them."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}", "LC_ALL": "C.UTF-8", **extra}


def has_tool(tool: str) -> bool:
    return shutil.which(tool, path=system_environment({})["PATH"]) is not None
