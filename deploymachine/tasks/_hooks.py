"""Tasks of fab_local.py named before_deploy and after_deploy, of every site or (before_deploy.blog) of one, called."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from deploymachine.errors import ReleaseError
from deploymachine.settings_file import execute

if TYPE_CHECKING:
    from deploymachine.releases.values import Hook, Release

LOCAL = "fab_local.py"
MEANING = {
    "before_deploy": "nothing was changed: every server goes on serving what it served",
    "after_deploy": "the release itself is live on every server, and stays",
}


def hooks(context: Context, directory: Path) -> Hook:
    """What calls them, with those of `site`, `release`, `sha`, `ref` and `servers` that they take."""
    path = directory / LOCAL
    found = [one for one in execute(path).values() if isinstance(one, Task)] if path.is_file() else []
    named = {one.name: one for one in found}

    def call(when: str, site: str, release: Release, servers: tuple[str, ...]) -> None:
        known = {"site": site, "release": release.name, "sha": release.sha, "ref": release.ref, "servers": servers}
        for name in (when, f"{when}.{site}"):
            if name in named:
                _call(named[name], context, known, MEANING[when])

    return call


def _call(task: Task[Any], context: Context, known: dict[str, Any], meaning: str) -> None:
    parameters = inspect.signature(task.body).parameters
    every = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    wanted = {key: value for key, value in known.items() if every or key in parameters}
    try:
        task(context, **wanted)
    except (Exception, Exit) as error:
        why = getattr(error, "message", None) or str(error) or type(error).__name__
        raise ReleaseError(
            f"{task.name} of {known['site']} fails", where=LOCAL, why=str(why).removeprefix("error: "), hint=meaning
        ) from None
