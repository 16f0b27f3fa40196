"""A release in, what its manage.py says out: checks, static files, migrations."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import List, Optional, Sequence

from release.tools import Tools
from release.values import Failure, Site

OLD_SERVES = "the old release goes on serving; mend the code and deploy again"


def manage(
    site: Site, tools: Tools, name: str, arguments: List[str], *, what: str, hint: str, timeout: Optional[float]
) -> str:
    """Run one management command with the release's own code, virtualenv and environment."""
    argv = [python(site, name), "manage.py", *arguments]
    return tools.run(argv, cwd=project(site, name), what=what, hint=hint, timeout=timeout)


def project(site: Site, name: str) -> Path:
    """The directory of the release's manage.py. Raises Failure where there is none."""
    found = site.project(name)
    if not (found / "manage.py").is_file():
        raise Failure(f"There is no manage.py {_called(site.directory)} of the repository", hint=_elsewhere(site, name))
    return found


def build_command(site: Site, tools: Tools, name: str, words: Sequence[str]) -> None:
    """Run one of the commands that settings.py adds to a build."""
    what = f"manage.py {shlex.join(words)} fails for {site.name}"
    hint = f"it stands in SITES[{site.name!r}]['build_commands']; {OLD_SERVES}"
    manage(site, tools, name, list(words), what=what, hint=hint, timeout=1800)


def collect_static(site: Site, tools: Tools, name: str) -> Optional[str]:
    """Collect the static files and return Django's summary; None where the site has no staticfiles app."""
    what = f"collectstatic fails for {site.name}"
    try:
        out = manage(site, tools, name, ["collectstatic", "--noinput"], what=what, hint=OLD_SERVES, timeout=900)
    except Failure as failure:
        if any("Unknown command: 'collectstatic'" in line for line in failure.output):
            return None
        raise
    return (out.strip().splitlines() or [""])[-1].strip()


def pending_migrations(site: Site, tools: Tools, name: str) -> List[str]:
    """Names ("app.0002_more") of the migrations that the release has and the database has not."""
    out = manage(
        site,
        tools,
        name,
        ["showmigrations", "--plan", "--no-color"],
        what=f"The migrations of {site.name} can't be read",
        hint="nothing was changed, the old release goes on serving; is the database there?",
        timeout=300,
    )
    return unapplied(out)


def unapplied(plan: str) -> List[str]:
    """Those that `showmigrations --plan` printed without a mark."""
    return [line.split("]", 1)[1].split()[0] for line in plan.splitlines() if line.startswith("[ ]")]


def python(site: Site, name: str) -> str:
    return str(site.release(name) / ".venv" / "bin" / "python")


def _called(directory: str) -> str:
    return f"in the directory {directory!r}" if directory else "at the top"


def _elsewhere(site: Site, name: str) -> str:
    root = site.release(name)
    found = sorted(
        path.parent.relative_to(root) for path in Path(root).glob("**/manage.py") if ".venv" not in path.parts
    )
    places = ", ".join(repr(str(place)) for place in found[:3])
    return (
        f"there is one in {places}: say so with SITES[{site.name!r}]['directory']"
        if found
        else "is this a Django project?"
    )
