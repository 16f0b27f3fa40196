"""A site in, what is on this server of it out; and the removal of what nobody needs any more."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Callable, Dict, List

from release import layout, repository, wheels
from release.build import remove_path
from release.steps import Steps
from release.switch import Order, running, serving
from release.tools import Tools
from release.values import Failure

KEEP = 5


def state(order: Order, tools: Tools) -> Dict[str, Any]:
    """Everything a controller needs to know before it decides. A server without the site has simply nothing."""
    site = order.site
    whole = {release.name: release for release in layout.whole(site)}
    live = layout.live(site)
    return {
        "current": asdict(whole[live]) if live in whole else None,
        "previous": layout.predecessor(site),
        "releases": [asdict(release) for release in whole.values()],
        "settled": layout.settled(site),
        "running": _asked(running, order),
        "healthy": _asked(serving, order),
        "known_shas": repository.known_shas(site, tools),
        "wheels": wheels.names(site),
    }


def prune(order: Order, tools: Tools, keep: int, steps: Steps) -> Dict[str, Any]:
    """Remove old releases and virtualenvs; never the live release nor the one a rollback goes to."""
    site = order.site
    with steps.step("prune") as step:
        names = [release.name for release in layout.whole(site)]
        kept = {*names[-max(keep, 1) :], layout.live(site), layout.predecessor(site)}
        gone = [name for name in names if name not in kept]
        for name in gone:
            layout.remove(site.release(name))
            repository.forget(site, tools, name)
        venvs = _remove_unused_venvs(order)
        if gone or venvs:
            step.changed(f"removed {len(gone)} releases, {len(venvs)} virtualenvs")
    return {"removed": gone, "removed_venvs": venvs, "changed": bool(gone or venvs)}


def prune_venvs(order: Order, steps: Steps) -> Dict[str, Any]:
    """Remove the virtualenvs that no release needs any more."""
    with steps.step("prune") as step:
        gone = _remove_unused_venvs(order)
        if gone:
            step.changed(f"removed {', '.join(gone)}")
    return {"removed_venvs": gone, "changed": bool(gone)}


def _remove_unused_venvs(order: Order) -> List[str]:
    site = order.site
    used = {release.venv for release in layout.whole(site)}
    paths = site.venvs.iterdir() if site.venvs.is_dir() else ()
    gone = sorted(path for path in paths if path.name not in used)
    for path in gone:
        remove_path(path)
    return [path.name for path in gone]


def _asked(question: Callable[[Order], bool], order: Order) -> bool:
    try:
        return question(order)
    except Failure:
        return False  # no supervisor, or none that knows the site yet: a release will say so when it matters
