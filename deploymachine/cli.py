"""The `deploymachine` command: a directory's name in, a deployment to edit and its next steps out."""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from deploymachine.errors import DeployMachineError, UsageError

# Packaged file -> its name in the deployment.
FILES = {
    "settings.py.dist": "settings.py",
    "kokki-config.yaml.dist": "kokki-config.yaml",
    "fabfile.py": "fabfile.py",
    "fabric.yaml": "fabric.yaml",
    "fab_local.example.py": "fab_local.example.py",
}
GITIGNORE = """\
# What must not be shared: secrets, certificates, pinned keys, credentials, copies of databases.
.deploymachine/
clouds.yaml
secure.yaml
*.dump
"""
# Machines made on this one reach the world through it, and so need what it needs: proxy, index, certificates.
DEVCLOUD = {
    "OPENSTACK_CLOUD": "devcloud",
    "SSH_USER_KNOWN_HOSTS": "~/.ssh/known_hosts",
    "EXTRA_CA_CERTIFICATES": ["/usr/local/share/ca-certificates/*.crt"],
    "PIP_INDEX_URL": "controller",
    "APT_PROXY": "controller",
}
EDIT_FOR_A_CLOUD = """\
  edit settings.py                # the cloud (of your clouds.yaml), its image and flavors, your keys, your sites
"""
EDIT_FOR_DEVCLOUD = """\
  edit settings.py                # your keys, your sites
  fab devcloud_up                 # an OpenStack on this machine; needs Linux and root
"""
STEPS = """\
  fab openstack_bootem            # boot every server that settings.py names
  openstack-compute list          # their names, types and addresses
  fab root provision              # once per server, as root
  fab dbserver launch             # then bring each type to production
  fab loadbalancer launch
  fab appnode launch
`fab --list` shows every command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code: 0, or 1 after one error message."""
    arguments = _parser().parse_args(argv)
    try:
        made = init(Path(arguments.directory), devcloud=arguments.devcloud)
    except DeployMachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Made {arguments.directory}/ with {', '.join(made)}.\n\nNext:\n  cd {arguments.directory}")
    print((EDIT_FOR_DEVCLOUD if arguments.devcloud else EDIT_FOR_A_CLOUD) + STEPS, end="")
    return 0


def init(directory: Path, *, devcloud: bool = False) -> list[str]:
    """Make a deployment in `directory` (made when it is not there). Returns the names of the files written.

    devcloud: for machines made on this one. Raises UsageError, and writes nothing, where files are in the way.
    """
    files = {name: _packaged(source) for source, name in FILES.items()} | {".gitignore": GITIGNORE}
    changes: dict[str, Any] = {
        "DEPLOYMENT": deployment_name(directory.resolve().name),
        **(DEVCLOUD if devcloud else {}),
    }
    for name, value in changes.items():
        files["settings.py"] = with_value(files["settings.py"], name, value)
    _check_free(directory, files)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("The deployment can't be written", where=str(directory), why=error.strerror) from None
    return list(files)


def deployment_name(directory_name: str) -> str:
    """The nearest name a deployment may have: lower-case letters, digits and '-', a letter first, at most 24."""
    plain = re.sub(r"[^a-z0-9]+", "-", directory_name.lower())
    return re.sub(r"^[^a-z]+", "", plain)[:24].strip("-") or "mysite"


def with_value(text: str, name: str, value: str | list[str]) -> str:
    """The text of settings.py with another value for the setting `name`; everything else stays as it is."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            lines[node.lineno - 1 : node.end_lineno] = [f"{name} = {json.dumps(value)}"]
            return "\n".join(lines) + "\n"
    raise KeyError(name)


def _packaged(name: str) -> str:
    return (resources.files("deploymachine") / "skeleton" / name).read_text(encoding="utf-8")


def _check_free(directory: Path, names: Sequence[str] | dict[str, str]) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError("A deployment needs a directory", where=str(directory), why="there is a file of that name")
    if taken := [name for name in names if (directory / name).exists()]:
        raise UsageError(
            f"{', '.join(taken)} {'is' if len(taken) == 1 else 'are'} there already",
            where=str(directory),
            why="init overwrites nothing",
            hint="name another directory, or move those away",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploymachine",
        description="From bare OpenStack machines to a Django service in production. The work itself is done by `fab`.",
    )
    parser.add_argument("--version", action="version", version=f"deploymachine {metadata.version('deploymachine')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser("init", help="make a directory with settings.py and what `fab` needs")
    command.add_argument(
        "directory", metavar="DIRECTORY", help="made when it is not there; its name becomes DEPLOYMENT"
    )
    command.add_argument(
        "--devcloud", action="store_true", help="for servers made on this machine, by `fab devcloud_up`"
    )
    return parser
