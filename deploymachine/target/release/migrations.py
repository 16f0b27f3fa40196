"""A release in, its migrations applied out, within their time; and whether the code of before can live with them."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from release import django, hooks, layout
from release.steps import Steps
from release.tools import Tools
from release.values import Failure, Release, Site

# Texts for the site's Python, which may not read our files; read now, while we still are root.
JUDGE = Path(__file__).with_name("judge.py").read_text(encoding="utf-8")
LOCKS = Path(__file__).with_name("locks.py").read_text(encoding="utf-8")
MARK = "-- deploymachine --"
FEW = 4  # names that stand in one line
OLD_SERVES = "the old release goes on serving"


@dataclass(frozen=True)
class Pending:
    """What the database lacks. breaks: what the code of before can't live with; unknown: what nobody can tell."""

    names: Tuple[str, ...] = ()
    breaks: Tuple[str, ...] = ()
    unknown: Tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether the code that served before works with these applied, in words."""
        if self.breaks:
            return f"the old code can NOT live with them: {'; '.join(self.breaks)}"
        if self.unknown:
            return f"nobody can tell whether the old code can live with them: {'; '.join(self.unknown)}"
        return "the old code can live with them"

    @property
    def listed(self) -> str:
        return ", ".join(self.names) if len(self.names) <= FEW else f"{len(self.names)} migrations"


def run(site: Site, tools: Tools, release: Release, timeout: Optional[float], steps: Steps) -> Dict[str, Any]:
    """Apply what is pending, the repository's hooks around it. Raises Failure, whose result says what was applied."""
    with steps.step("migrations") as step:
        pending = look(site, tools, release.name)
        step.detail = (
            f"{len(pending.names)} pending: {', '.join(pending.names)}" if pending.names else "nothing pending"
        )
    if not pending.names:
        return {"applied": [], "changed": False}
    hooks.run(site, tools, release, "before_migrate", steps)
    with steps.step("migrate") as step:
        try:
            apply(site, tools, release.name, timeout)
        except Failure as failure:
            with suppress(Failure):
                _tell_applied(failure, pending, look(site, tools, release.name))
            raise
        old = layout.live(site) is not None
        step.changed(f"{pending.listed}; {pending.verdict}" if old else pending.listed)
    hooks.run(site, tools, release, "after_migrate", steps)
    return {"applied": list(pending.names), "changed": True, "verdict": pending.verdict}


def look(site: Site, tools: Tools, name: str) -> Pending:
    """What is pending, and judged where the site's Django lets us."""
    argv = [django.python(site, name), "-c", JUDGE, MARK]
    with suppress(Failure, ValueError):
        said = tools.run(argv, cwd=django.project(site, name), what="judged", timeout=300)
        found = json.loads(said.rpartition(MARK)[2])
        return Pending(*(tuple(found[key]) for key in ("pending", "breaks", "unknown")))
    names = tuple(django.pending_migrations(site, tools, name))
    return Pending(names, (), tuple(f"{one} is not understood" for one in names))


def apply(site: Site, tools: Tools, name: str, timeout: Optional[float]) -> None:
    """Run migrate; past `timeout` seconds what it does in PostgreSQL is cancelled first: a process that only dies would
    go on waiting there for its lock, and everybody else behind it."""
    mine = f"migrate {name}"
    argv = [django.python(site, name), "manage.py", "migrate", "--noinput", "--no-color"]
    try:
        tools.run(
            argv,
            cwd=django.project(site, name),
            env={"PGAPPNAME": mine, "PYTHONUNBUFFERED": "1"},
            what=f"A migration of {site.name} fails",
            hint=f"{OLD_SERVES}; mend the migration and deploy again",
            timeout=timeout,
            late=lambda: _in_the_way(site, tools, name, mine),
        )
    except Failure as failure:
        if failure.exit_code is None and timeout is not None:
            failure.what = f"A migration of {site.name} takes longer than {timeout:g} s"
            failure.hint = f"{OLD_SERVES}; wait for what is in its way, or allow it more time with --migrate-timeout"
        raise


def _tell_applied(failure: Failure, before: Pending, after: Pending) -> None:
    """What of it was applied all the same, and stays."""
    applied = [name for name in before.names if name not in after.names]
    failure.result["applied"] = applied
    if applied:
        failure.output.append(f"applied before that, and stays so: {', '.join(applied)}")
        failure.output.append(before.verdict)


def _in_the_way(site: Site, tools: Tools, name: str, mine: str) -> Optional[str]:
    """Who holds what the migration waits for, in words; what it does is cancelled. None: nobody can be asked."""
    argv = [django.python(site, name), "-c", LOCKS, MARK, mine]
    try:
        env = {"PGAPPNAME": "deploymachine"}
        said = tools.run(argv, cwd=django.project(site, name), what="asked", env=env, timeout=20)
        told: List[str] = json.loads(said.rpartition(MARK)[2])
    except (Failure, ValueError):
        return None
    return f"it waits for a lock: {'; '.join(told)}" if told else ""
