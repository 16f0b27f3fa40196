"""A deployment's clouds.yaml and a devcloud go in; the file with its entry kept, renewed or taken out comes out.

Edited as text, entry by entry, so that a user's comments and other clouds stay as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from deploymachine.devcloud.layout import Layout, write_private
from deploymachine.errors import DevcloudError

CLOUD = "devcloud"
HEAD = "# Written by `fab devcloud_up`; `fab devcloud_down` takes its cloud out again.\nclouds:\n"
ENTRY = re.compile(rf"^(?P<indent>[ ]+){CLOUD}:[ ]*\n(?:(?P=indent)[ ]+.*\n|[ ]*\n)*", re.MULTILINE)


def entry(layout: Layout, indent: str = "  ") -> str:
    lines = f"""\
{CLOUD}:
  auth_type: password
  auth:
    auth_url: {layout.url}/identity/v3
    username: {CLOUD}
    password: {layout.password}
    project_name: {CLOUD}
    user_domain_name: Default
    project_domain_name: Default
  region_name: {CLOUD}
  identity_api_version: "3"
  interface: public
"""
    return "".join(indent + line for line in lines.splitlines(keepends=True))


def check(directory: Path) -> None:
    """Raises DevcloudError, before anything is started, for a file that could not be added to."""
    file = directory / "clouds.yaml"
    text = file.read_text() if file.exists() else HEAD
    if not text.startswith(HEAD.partition("\n")[0]) and CLOUD not in _clouds(file, text):
        raise DevcloudError(
            f"clouds.yaml has no cloud named {CLOUD}",
            where=str(file),
            why="the file is yours, so it is not changed",
            hint=f"add this line below `clouds:` and repeat; its values are filled in then\n  {CLOUD}:",
        )


def write(directory: Path, layout: Layout) -> bool:
    """Make the file name this devcloud. Returns whether it had to be changed."""
    file = directory / "clouds.yaml"
    old = file.read_text() if file.exists() else ""
    new = ENTRY.sub(lambda match: entry(layout, match["indent"]), _ending(old), count=1)
    if not ENTRY.search(new):
        new = (_ending(old) or HEAD) + entry(layout)
    if new != old:
        write_private(file, new)
    return new != old


def remove(directory: Path) -> None:
    """Take the cloud out of a file of ours; the file too, if nothing else is in it."""
    file = directory / "clouds.yaml"
    if not file.exists() or not file.read_text().startswith(HEAD.partition("\n")[0]):
        return
    rest = ENTRY.sub("", file.read_text(), count=1)
    if rest.strip() == HEAD.strip():
        file.unlink()
    else:
        write_private(file, rest)


def _clouds(file: Path, text: str) -> dict[str, object]:
    try:
        clouds = yaml.safe_load(text)["clouds"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DevcloudError("clouds.yaml can't be read", where=str(file), why=str(error)) from error
    return clouds or {}


def _ending(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
