"""A live release in, what people do to it between two deploys out: its code looked at, its packages, its virtualenv."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

from release import layout, repository, virtualenv
from release.steps import Steps
from release.switch import Order
from release.tools import CA_BUNDLE, Tools, uv_environment
from release.values import Failure, Release, Site

Result = Dict[str, Any]
FOUND = re.compile(r"Found \d+ known vulnerabilit")


def live(site: Site) -> Release:
    """The release that is live. Raises Failure."""
    name = layout.live(site)
    release = layout.read(site, name) if name else None
    if release is None:
        raise Failure(f"{site.name} has no live release on this server", hint="`fab appnode deploy` brings one")
    return release


def adopt(order: Order, name: str, steps: Steps) -> Result:
    """Make a built release the live one, and leave the programs alone: they are on it when they were restarted."""
    site = order.site
    release = layout.ready(site, name)
    before = layout.live(site)
    if before == name:
        return {"changed": False}
    with steps.step("switch") as step:
        layout.unsettle(site, name)
        layout.point(site, name)
        layout.went_live(site, name, back=False)
        step.changed(f"{before or 'nothing'} -> {name}")
    entry = {"release": name, "sha": release.sha, "ref": release.ref, "from": before, "by": order.by}
    layout.log(site, {"action": order.word or "checkout", "state": "ok", **entry})
    return {"changed": True}


def code(site: Site, tools: Tools, count: int, steps: Steps) -> Result:
    """The live release, the last `count` commits up to it, and which of its files are not as they were committed."""
    release = live(site)
    with steps.step("code"):
        log = ["log", "--no-color", f"--max-count={count}", "--format=%h %cs %an: %s", release.sha, "--"]
        lines = repository.ask(site, tools, log) if count else []
        changed = repository.changed(site, tools, release)
    return {"release": vars(release), "log": lines, "changed_files": changed, "settled": layout.settled(site)}


def pip(site: Site, tools: Tools, words: List[str], steps: Steps) -> Result:
    """Run one of `uv pip`'s commands on the live release's virtualenv; no words: install its requirements again."""
    release = live(site)
    path = site.venvs / release.venv
    with steps.step("pip") as step:
        if not words:
            virtualenv.install(site, tools, virtualenv.find(site, release.name), path)
            step.changed(f"the requirements of {release.name}")
            return {"output": []}
        argv = [site.uv, "pip", words[0], "--python", str(path / "bin" / "python"), *words[1:]]
        what = f"uv pip {words[0]} fails for {site.name}"
        out = tools.run(argv, cwd=site.release(release.name), env=uv_environment(site), what=what)
        if words[0] in ("install", "uninstall"):
            step.changed(" ".join(words))
    return {"output": out.splitlines()}


def audit(site: Site, tools: Tools, steps: Steps) -> Result:
    """Ask pip-audit, which uv fetches for it, which of the live release's packages have known vulnerabilities."""
    release = live(site)
    environment = {**uv_environment(site), **({"REQUESTS_CA_BUNDLE": CA_BUNDLE} if Path(CA_BUNDLE).exists() else {})}
    python = str(site.venvs / release.venv / "bin" / "python")
    with steps.step("audit"), tempfile.TemporaryDirectory(prefix="audit-", dir=str(site.root / ".cache")) as scratch:
        frozen = Path(scratch) / "requirements.txt"
        argv = [site.uv, "pip", "freeze", "--python", python]
        frozen.write_text(tools.run(argv, cwd=site.root, env=environment, what="The packages can't be listed"))
        argv = [site.uv, "tool", "run", "--quiet", "--python", site.python, "pip-audit", "--progress-spinner", "off"]
        argv += ["--disable-pip", "--no-deps", "--strict", "--requirement", str(frozen)]
        what, hint = f"Packages of {site.name} have known vulnerabilities", "mend the requirements, then deploy"
        try:
            out = tools.run(argv, cwd=Path(scratch), env=environment, what=what, hint=hint, timeout=600)
        except Failure as failure:
            raise failure if any(map(FOUND.search, failure.output)) else _unanswered(failure) from None
    return {"output": out.splitlines() or ["no known vulnerabilities"]}


def _unanswered(failure: Failure) -> Failure:
    """pip-audit ends alike where it found something and where it could not ask."""
    return Failure(
        "pip-audit could not ask for vulnerabilities",
        why=failure.why,
        hint="does this server reach the package index? uv fetches pip-audit from there, and it asks there",
        output=failure.output,
    )


def virtualenv_of_live(site: Site, tools: Tools, steps: Steps, *, anew: bool) -> Result:
    """See to it that the live release's virtualenv is there; anew: another takes its place, for all that shared it.

    What runs goes on with the one it has; that one is removed with what nobody needs, when the programs were restarted.
    """
    release = live(site)
    there = site.venvs / release.venv
    with steps.step("virtualenv") as step:
        if virtualenv.complete(there) and not anew:
            step.detail = f"{release.venv} is whole"
            return {"changed": False, "virtualenv": release.venv}
        requirements = virtualenv.find(site, release.name)
        name = release.venv if not anew else f"{release.venv.partition('-')[0]}-{time.strftime('%Y%m%dT%H%M%S')}"
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, site.venvs / name, ignore_errors=True)
            virtualenv.build(site, tools, requirements, site.venvs / name)
            undo.pop_all()
        for one in layout.whole(site):
            if one.venv == release.venv:
                layout.link(site.release(one.name) / ".venv", f"../../venvs/{name}")
                layout.finish(site, replace(one, venv=name))
        step.changed(name)
    return {"changed": True, "virtualenv": name}
