"""A release's requirements in, a whole virtualenv shared by every release with the same ones out."""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Set

from release.layout import COMPLETE, write
from release.tools import Tools, uv_environment
from release.values import Failure, Site

EXTRA = ("gunicorn",)
CANDIDATES = ("requirements.txt", "uv.lock", "pyproject.toml")
PROJECTS = ("uv.lock", "pyproject.toml")
INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]*(?P<path>\S.*?)\s*(?:\s#.*)?$")
# A requirement that is a path is installed from the release itself, so it is as old as the release.
LOCAL = re.compile(r"^\s*(?:-e\s|--editable|\.|file:|[\w.\[\]-]+\s*@\s*(?:file:|\.))")
# The same in a uv.lock; "." is the project itself, which is not installed.
LOCKED_LOCAL = re.compile(r"source = \{ (?:editable|directory|path) = \"(?!\.\")")


@dataclass(frozen=True)
class Requirements:
    """The file that decides, and every file it includes. local: something in them is installed from the release."""

    path: Path
    files: tuple[Path, ...]
    local: bool
    extras: tuple[str, ...] = ()

    @property
    def wanted_extras(self) -> List[str]:
        """As uv is told of them."""
        return [word for extra in self.extras for word in ("--extra", extra)]


def find(site: Site, name: str) -> Requirements:
    """The requirements of a release: the settings' file, else the first usual one, in the project or at the top."""
    roots = list(dict.fromkeys([site.project(name), site.release(name)]))
    wanted = [site.requirements] if site.requirements not in ("", "requirements.txt") else list(CANDIDATES)
    path = next((root / file for file in wanted for root in roots if (root / file).is_file()), None)
    if path is None:
        raise Failure(
            f"The code says nowhere what it requires: there is no {' or '.join(wanted)}",
            where=f"{site.directory or 'the top'} of the repository",
            hint=f"commit one, or name it: SITES[{site.name!r}]['requirements'] in settings.py",
        )
    files = tuple(_closure(path, set()))
    if site.extras and path.name not in PROJECTS:
        raise Failure(
            f"{path.name} knows no extras, and settings.py wants {', '.join(site.extras)}",
            where=f"SITES[{site.name!r}]['extras']",
            hint=f"they are a pyproject.toml's or a uv.lock's: name it in SITES[{site.name!r}]['requirements']",
        )
    return Requirements(path, files, any(_is_local(file) for file in files), tuple(site.extras))


def key(requirements: Requirements, python: str, name: str) -> str:
    """The name of the virtualenv: the same for every release whose requirements and Python are the same."""
    digest = hashlib.sha256()
    unshared = name if requirements.local else ""
    for part in (python, *EXTRA, *sorted(requirements.extras), requirements.path.name, unshared):
        digest.update(part.encode() + b"\0")
    for file in requirements.files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:20]


def python_version(site: Site, tools: Tools) -> str:
    """What makes two interpreters incompatible: implementation, minor version, machine."""
    code = "import platform as p; print(p.python_implementation(), *p.python_version_tuple()[:2], p.machine())"
    argv = [site.python, "-I", "-S", "-c", code]
    return tools.run(argv, cwd=site.root, what=f"{site.python} does not work", hint="cook the server first").strip()


def complete(path: Path) -> bool:
    """Whether the virtualenv was built to its end; a killed run's is not."""
    return (path / COMPLETE).is_file()


def build(site: Site, tools: Tools, requirements: Requirements, path: Path) -> None:
    """Build the virtualenv at `path` with uv. Raises Failure with uv's last lines."""
    if not Path(site.uv).is_file():
        raise Failure("There is no uv on this server", where=site.uv, hint="cook the server first, then release")
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(exist_ok=True)
    with ExitStack() as undo:  # half of one would only fill the disk
        undo.callback(shutil.rmtree, path, ignore_errors=True)
        _make(site, tools, path)
        install(site, tools, requirements, path)
        write(path / COMPLETE, requirements.path.name + "\n")
        undo.pop_all()


def _make(site: Site, tools: Tools, path: Path) -> None:
    what = f"No virtualenv can be made for {site.name}"
    argv = [site.uv, "venv", "--quiet", "--no-project", "--python", site.python, str(path)]
    tools.run(argv, cwd=site.root, env=uv_environment(site), what=what)


def install(site: Site, tools: Tools, requirements: Requirements, path: Path) -> None:
    """Install what is required into the virtualenv at `path`. Raises Failure with uv's last lines."""
    environment = uv_environment(site)
    for packages in _packages(site, tools, requirements, path):
        tools.run(
            [site.uv, "pip", "install", "--python", str(path / "bin" / "python"), *packages],
            cwd=requirements.path.parent,
            env=environment,
            what=f"The requirements of {site.name} ({requirements.path.name}) can't be installed",
            hint="mend the requirements and deploy again; the old release goes on serving",
        )


def _packages(site: Site, tools: Tools, requirements: Requirements, path: Path) -> Iterator[List[str]]:
    """Arguments of each `uv pip install`."""
    if requirements.path.name == "uv.lock":
        exported = path / "requirements.lock"
        argv = [site.uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", *requirements.wanted_extras]
        argv += ["--output-file", str(exported)]
        what = f"uv.lock of {site.name} can't be read"
        tools.run(argv, cwd=requirements.path.parent, env=uv_environment(site), what=what)
        yield ["-r", str(exported)]
        yield list(EXTRA)
    elif any("--hash=" in line for file in requirements.files for line in _lines(file)):
        yield ["-r", str(requirements.path)]
        yield list(EXTRA)  # has no hash there, and needs none: what they pin stays as it is
    else:
        yield ["-r", str(requirements.path), *requirements.wanted_extras, *EXTRA]


def _closure(path: Path, seen: Set[Path]) -> Iterable[Path]:
    if path in seen or not path.is_file():
        return
    seen.add(path)
    yield path
    if path.name == "uv.lock":
        yield from _closure(path.with_name("pyproject.toml"), seen)
    for line in _lines(path):
        included: Optional[re.Match[str]] = INCLUDE.match(line)
        if included is not None and path.suffix != ".toml":
            yield from _closure(path.parent / included["path"], seen)


def _is_local(path: Path) -> bool:
    if path.suffix == ".lock":
        return LOCKED_LOCAL.search(path.read_text(encoding="utf-8", errors="replace")) is not None
    return any(LOCAL.match(line) for line in _lines(path))


def _lines(path: Path) -> List[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.suffix != ".lock" else []
