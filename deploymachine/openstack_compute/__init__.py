"""The `openstack-compute` command: python-openstackclient's own shell, with the deployment's commands added."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deploymachine import settings as deployment_settings
from deploymachine.errors import DeployMachineError
from deploymachine.settings import Settings
from deploymachine.settings_file import settings_path

USAGE = """\
usage: openstack-compute COMMAND [OPTION...]

The servers of the deployment in this directory (its settings.py), over python-openstackclient.

  list                         names, types, states and addresses
  show NAME                    everything the cloud says of a server
  boot NAME...                 boot servers that are not there yet: [--type TYPE] [--flavor FLAVOR] [--image IMAGE]
  delete NAME...               delete servers with their addresses and pinned host keys
  image-list, flavor-list      what OPENSTACK_IMAGE and OPENSTACK_SERVERS can name

Every command explains itself with --help; the lists and `show` take openstack's output options, such as -f json.
Where there is no settings.py, `list`, `show` and the lists speak of the whole project, with the credentials that
`openstack` would use. Any other words are openstack's own: `openstack-compute console log show NAME`.
"""
OWN_WORDS = {"image-list": ["image", "list"], "flavor-list": ["flavor", "list"]}
WITHOUT_SETTINGS = {"list": ["server", "list"], "show": ["server", "show"]}
NEED_SETTINGS = ("boot", "delete")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code: 0, or 1 after one error message."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        print(USAGE, end="")
        return 0
    try:
        return _run(arguments)
    except DeployMachineError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        return 130
    return 1


def _run(arguments: list[str]) -> int:
    settings = _settings()
    if settings is not None:
        _point_openstack_at(settings)
    command, rest = arguments[0], arguments[1:]
    if settings is None and command in NEED_SETTINGS:
        deployment_settings.load(Path.cwd())  # raises, and says how to begin
    words = (OWN_WORDS if settings is not None else OWN_WORDS | WITHOUT_SETTINGS).get(command, [command])
    from deploymachine.openstack_compute.shell import Shell

    return 1 if Shell(settings).run([*words, *rest]) else 0  # openstack knows more exit codes, we only these


def _settings() -> Settings | None:
    here = Path.cwd()
    return deployment_settings.load(here) if settings_path(here).exists() else None


def _point_openstack_at(settings: Settings) -> None:
    """The cloud that settings.py names, and the files beside it unless the environment names others."""
    if settings.OPENSTACK_CLOUD is not None:
        os.environ["OS_CLOUD"] = settings.OPENSTACK_CLOUD
    for variable, name in (("OS_CLIENT_CONFIG_FILE", "clouds.yaml"), ("OS_CLIENT_SECURE_FILE", "secure.yaml")):
        if (settings.directory / name).exists():
            os.environ.setdefault(variable, str(settings.directory / name))
