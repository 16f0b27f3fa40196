"""A release in, what its own repository wants done at that moment done: the executables in deploy/hooks/.

build            on every server, when the virtualenv is there, before Django's checks and static files
before_migrate   on the one server that migrates, where there is something to migrate; after_migrate as well
before_switch    on every server, before visitors get that release: where it fails they never do, unless on the way back
after_switch     on every server, when it serves; where it fails it serves all the same

They run as the site does: as its user, in its environment, with its virtualenv, in the project's directory.
"""

from __future__ import annotations

import difflib
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Optional

from release import layout
from release.steps import Steps
from release.tools import Tools, telling
from release.values import Failure, Release, Site

FOLDER = Path("deploy") / "hooks"
MOMENTS = ("build", "before_migrate", "after_migrate", "before_switch", "after_switch")
TIMEOUT = 900  # seconds


def check(site: Site, name: str) -> None:
    """Raise Failure where something among the hooks would never run, as its name or its mode is wrong."""
    for path in _files(site, name):
        runs = os.access(path, os.X_OK)
        if path.name in MOMENTS and not runs:
            shown = path.relative_to(site.release(name))
            raise Failure(
                f"The hook {shown} is not executable",
                hint=f"`git update-index --chmod=+x {shown}`, commit, deploy again",
            )
        if runs and path.name not in MOMENTS:
            close = difflib.get_close_matches(path.name, MOMENTS, n=1)
            raise Failure(
                f"There is no hook {path.name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
                where=str(path.relative_to(site.release(name))),
                why=f"an executable there is run at the moment it is called by: {', '.join(MOMENTS)}",
            )


def run(site: Site, tools: Tools, release: Release, moment: str, steps: Steps, *, back: bool = False) -> None:
    """Run the release's hook of that moment, if it has one. Raises Failure with its last lines."""
    path = next((path for path in _files(site, release.name) if path.name == moment), None)
    if path is None:
        return
    with steps.step(f"hook {moment}") as step:
        said = tools.run(
            [str(path)],
            cwd=site.project(release.name),
            env=_variables(site, release, moment, back),
            what=f"The hook {moment} of {site.name} fails",
            hint="it stands in deploy/hooks/ of the site's repository",
            timeout=TIMEOUT,
        )
        step.changed((telling(said, 1) or [""])[0].strip())


def run_anyway(site: Site, tools: Tools, release: Release, moment: str, steps: Steps, *, back: bool = False) -> None:
    """Run the hook, if there is one; that it failed is shown, and nothing else comes of it."""
    with suppress(Failure):
        run(site, tools, release, moment, steps, back=back)


def _files(site: Site, name: str) -> List[Path]:
    """What lies among the hooks: those of the project's own directory, else those at the repository's top."""
    folders = [root / FOLDER for root in (site.project(name), site.release(name))]
    folder: Optional[Path] = next((one for one in folders if one.is_dir()), None)
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder is not None else []


def _variables(site: Site, release: Release, moment: str, back: bool) -> Dict[str, str]:
    return {
        "DEPLOYMACHINE_HOOK": moment,
        "DEPLOYMACHINE_ACTION": "rollback" if back else "deploy",
        "DEPLOYMACHINE_SITE": site.name,
        "DEPLOYMACHINE_RELEASE": release.name,
        "DEPLOYMACHINE_COMMIT": release.sha,
        "DEPLOYMACHINE_REF": release.ref,
        "DEPLOYMACHINE_LIVE": layout.live(site) or "",
        "DEPLOYMACHINE_SERVER": socket.gethostname(),
    }
