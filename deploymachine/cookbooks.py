"""A deployment's directory in, its cookbooks out: ours and those of cookbook_paths; and the skeleton of a new one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from deploymachine.errors import SettingsError, UsageError
from deploymachine.settings_file import execute, settings_path

OURS = Path(__file__).parent / "target" / "cookbooks"
NAME = re.compile(r"[a-z][a-z0-9_]*")
DEFAULT_FOLDER = "cookbooks"

METADATA = '''\
"""{name}: what it is for, in one sentence."""

__description__ = "What {name} brings to a server"
__config__ = {{
    "{name}.greeting": {{"description": "What the file says", "default": "Hello"}},
}}
'''
RECIPE = '''\
"""The default recipe: cooked where a run list says `{name}`."""

from kokki import *

File("/etc/{name}.conf", content=Template("{name}/{name}.conf.j2"), owner="root", group="root", mode=0o644)
'''
TEMPLATE = """\
# written by the cookbook {name}: changes made here are lost
greeting = {{{{ env.config.{name}.greeting }}}}
"""
CASE = """\
# What `fab cookbook_test:{name}` cooks, on a machine made for it and removed afterwards.
recipes: [{name}]
attributes:
  {name}.greeting: Hello from the test
"""
SKELETON = {
    "metadata.py": METADATA,
    "recipes/default.py": RECIPE,
    "templates/{name}.conf.j2": TEMPLATE,
    "test.yaml": CASE,
}


def user_paths(directory: Path) -> tuple[Path, ...]:
    """The cookbook_paths of the deployment; () where its files can't be read: whoever needs them will say why."""
    try:
        config = directory / execute(settings_path(directory)).get("KOKKI_CONFIG", "kokki-config.yaml")
        text = config.read_text(encoding="utf-8")
    except (SettingsError, OSError, TypeError):
        return ()
    if not re.search(r"^cookbook_paths:(?!\s*\[\s*\]\s*$)", text, re.MULTILINE):
        return ()
    import yaml

    try:
        named = yaml.safe_load(text)["cookbook_paths"]
        return tuple(directory / Path(path).expanduser() for path in named)
    except (yaml.YAMLError, KeyError, TypeError):
        return ()


def found(paths: Sequence[Path]) -> dict[str, Path]:
    """Name -> folder of every cookbook in these folders and ours; the first folder that has one wins."""
    cookbooks: dict[str, Path] = {}
    for folder in (*paths, OURS):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if (path / "metadata.py").is_file():
                cookbooks.setdefault(path.name, path)
    return cookbooks


def cookbook(name: str, paths: Sequence[Path]) -> Path:
    """The folder of one cookbook. Raises UsageError with a suggestion."""
    known = found(paths)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise UsageError(
            f"There is no cookbook {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            why="the cookbooks there are: " + ", ".join(sorted(known)),
            hint=f"`fab cookbook_new:{name}` begins one" if NAME.fullmatch(name) else None,
        )
    return known[name]


def new(name: str, directory: Path) -> tuple[Path, list[str]]:
    """Write the skeleton of a cookbook. Returns its folder and the names of its files; overwrites nothing."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be a cookbook's name",
            why="recipes say env.config.NAME: lower-case letters, digits and '_', a letter first",
        )
    folder = next(iter(user_paths(directory)), directory / DEFAULT_FOLDER) / name
    if folder.exists():
        raise UsageError(f"{name} is there already", where=str(folder), why="nothing is overwritten")
    files = {path.format(name=name): text.format(name=name) for path, text in SKELETON.items()}
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("The cookbook can't be written", where=str(folder), why=error.strerror) from None
    return folder, sorted(files)
