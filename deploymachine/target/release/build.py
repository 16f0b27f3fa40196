"""A commit in, a whole release directory out; done again it finds everything done."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Mapping, Optional, Tuple

from release import django, hooks, layout, preflight, repository, virtualenv, wheels
from release.steps import Step, Steps
from release.tools import Tools, with_site
from release.values import Failure, Release, Site

Result = Dict[str, Any]


def build(
    site: Site, tools: Tools, release: Release, source: Mapping[str, Any], bundle: Optional[BinaryIO], steps: Steps
) -> Result:
    """Fetch, export, virtualenv, links, compile, checks, static files. A failure removes what was half made."""
    _clear(site, steps)
    with steps.step("fetch") as step:
        if not repository.has(site, tools, release.sha):
            repository.fetch(site, tools, release, source, bundle)
            step.changed(f"{release.ref} {release.sha[:8]}".strip())
    there = layout.read(site, release.name)
    if there is not None and _same(there, release) and layout.has_venv(site, there):
        return {"release": vars(there), "changed": False, "wheels": []}
    path = site.release(release.name)
    with ExitStack() as undo:
        undo.callback(remove_path, path)
        built, pending = _make(site, tools, release, steps)
        undo.pop_all()
    return {"release": vars(built), "changed": True, "pending": pending, "wheels": wheels.collect(site)}


def _make(site: Site, tools: Tools, release: Release, steps: Steps) -> Tuple[Release, List[str]]:
    name = release.name
    with steps.step("export") as step:
        _export(site, tools, release, step)
        hooks.check(site, name)
    venv = _virtualenv(site, tools, release, steps)
    inside = with_site(tools, site, venv)
    with steps.step("link") as step:
        linked = _link_shared(site, name)
        step.changed(", ".join(linked))
    with steps.step("compile") as step:
        _compile(site, inside, name, step)
    hooks.run(site, inside, release, "build", steps)
    with steps.step("check") as step:
        pending = preflight.prove(site, inside, name, step)
    _static(site, inside, name, steps)
    whole = replace(release, venv=venv.name)
    layout.finish(site, whole)
    return whole, pending


def _static(site: Site, tools: Tools, name: str, steps: Steps) -> None:
    """Collect the static files, and do what settings.py wants besides: before it, or around it where it names it."""
    commands = list(site.build_commands)
    for words in commands:
        with steps.step(words[0]) as step:
            django.build_command(site, tools, name, words)
            step.changed(" ".join(words[1:]))
    if any(words[0] == "collectstatic" for words in commands):
        return
    with steps.step("collectstatic") as step:
        summary = django.collect_static(site, tools, name)
        if summary is None:
            step.skipped("the site has no staticfiles app")
        else:
            step.changed(summary)


def _same(there: Release, wanted: Release) -> bool:
    return (there.sha, there.fingerprint) == (wanted.sha, wanted.fingerprint)


def _clear(site: Site, steps: Steps) -> None:
    """Remove what killed runs left; a release that stands is never among it."""
    with steps.step("prepare") as step:
        if not site.root.is_dir():
            raise Failure(f"{site.root} is not there", hint="cook the server first, then release")
        site.releases.mkdir(exist_ok=True)
        site.venvs.mkdir(exist_ok=True)
        half = layout.unfinished(site)
        for path in half:
            remove_path(path)
        if half:
            step.changed(f"removed what was half made: {', '.join(path.name for path in half)}")


def _export(site: Site, tools: Tools, release: Release, step: Step) -> None:
    path = site.release(release.name)
    if path.exists():  # whole, but of another commit or with a virtualenv that is gone
        if layout.live(site) == release.name:
            raise Failure(f"The live release {release.name} is damaged", hint="deploy another commit, or roll back")
        layout.remove(path)
    path.mkdir()
    repository.export(site, tools, release)
    repository.keep(site, tools, release)
    step.changed("without its submodules: they are not fetched" if (path / ".gitmodules").exists() else "")


def _virtualenv(site: Site, tools: Tools, release: Release, steps: Steps) -> Path:
    with steps.step("virtualenv") as step:
        requirements = virtualenv.find(site, release.name)
        python = virtualenv.python_version(site, tools)
        path = site.venvs / virtualenv.key(requirements, python, release.name)
        if not virtualenv.complete(path):
            virtualenv.build(site, tools, requirements, path)
            step.changed(f"{requirements.path.name} on {python}")
        layout.link(site.release(release.name) / ".venv", f"../../venvs/{path.name}")
    return path


def _link_shared(site: Site, name: str) -> list[str]:
    """Links in the project to what all releases share; what the repository brings itself stays."""
    linked = []
    for link, directory in site.shared.items():
        path, target = site.project(name) / link, site.root / "shared" / directory
        target.mkdir(parents=True, exist_ok=True)
        if path.parent.is_dir() and not os.path.lexists(path):
            path.symlink_to(os.path.relpath(target, path.parent))
            linked.append(link)
    return linked


def _compile(site: Site, tools: Tools, name: str, step: Step) -> None:
    path = site.release(name)
    argv = [str(path / ".venv" / "bin" / "python"), "-m", "compileall", "-q", str(path)]
    try:
        tools.run(argv, cwd=path, what="Some files are not valid Python", timeout=300)
    except Failure as failure:
        # Repositories hold templates and fixtures that end in .py; what the site needs, the check below imports.
        step.detail = failure.output[0] if failure.output else failure.why


def remove_path(path: Path) -> None:
    """Remove whatever lies there: a release, a virtualenv, a stray file."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        layout.remove(path)
