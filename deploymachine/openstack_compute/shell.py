"""python-openstackclient's shell with the deployment's own commands added; imported only once a command runs."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

from openstackclient.compute.v2.server import ShowServer
from openstackclient.shell import OpenStackShell
from osc_lib.command.command import Command, Lister

from deploymachine.cloud import Asked, Cloud, boot_spec, connect
from deploymachine.cloud.lookup import suggestion
from deploymachine.cloud.patience import make_patient
from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError, UsageError
from deploymachine.settings import Settings

COLUMNS = ("Name", "Type", "State", "Private IP", "Public IP", "Flavor", "Image")
WORDS = ("list", "show", "boot", "delete", "image-list", "flavor-list")
FIELDS = ("name", "type", "state", "private_ip", "public_ip", "flavor", "image")


class ErrorLog(logging.LoggerAdapter):  # type: ignore[type-arg]  # generic from Python 3.11 on
    """Says `error:` before what cliff only prints."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        return f"error: {msg}", kwargs


class Shell(OpenStackShell):
    """openstack's shell; what keeps it from the cloud is told as `fab` tells it.

    settings: the deployment's; None where there is none, and only openstack's own commands work.
    """

    NAME = "openstack-compute"
    LOG = ErrorLog(logging.getLogger(NAME))  # type: ignore[assignment]  # an adapter is all that is asked of it

    def __init__(self, settings: Settings | None) -> None:
        super().__init__()
        self.settings = settings
        for name, command in COMMANDS.items() if settings is not None else ():
            self.command_manager.add_command(name, command)

    def initialize_app(self, argv: list[str]) -> None:
        with self._explained():
            super().initialize_app(argv)

    def prepare_to_run_command(self, cmd: Any) -> None:
        with self._explained():
            super().prepare_to_run_command(cmd)

    def run_subcommand(self, argv: list[str]) -> int:
        if self._knows(argv):
            return super().run_subcommand(argv)
        # cliff would offer dozens of openstack's commands that only look alike.
        what = f"There is no command {argv[0]!r}{suggestion(argv[0], WORDS)}"
        self.LOG.error(UsageError(what, hint="`openstack-compute --help` lists them"))
        return 1

    def _knows(self, argv: list[str]) -> bool:
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            return False
        return True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever is raised while logging in: log in our own way, which knows where, why and what to do."""
        try:
            with explained("The cloud does not let us in"):
                yield
        except CloudError:
            if self.settings is not None:
                connect(self.settings).close()
            raise


def deployment(command: Any) -> tuple[Settings, Cloud]:
    """The settings, and their servers over the session that openstack's shell opened."""
    connection = command.app.client_manager.sdk_connection
    make_patient(connection)
    return command.app.settings, Cloud(command.app.settings, connection)


class ListServers(Lister):
    """The deployment's servers: names, types, states and addresses."""

    def take_action(self, parsed_args: Namespace) -> tuple[Sequence[str], Iterable[Sequence[str]]]:  # noqa: ARG002 (cliff's)
        _, cloud = deployment(self)
        return COLUMNS, [[getattr(server, field) for field in FIELDS] for server in cloud.servers()]


class Show(ShowServer):
    """Everything the cloud says of one of the deployment's servers."""

    def take_action(self, parsed_args: Namespace) -> Any:
        _, cloud = deployment(self)
        parsed_args.server = cloud.servers().named(parsed_args.server).id
        return super().take_action(parsed_args)


class Boot(Command):
    """Boot servers that are not there yet and wait until they answer SSH; those that run are kept, others mended."""

    def get_parser(self, prog_name: str) -> ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("names", metavar="NAME", nargs="+", help="a server of settings.py, or a new one")
        parser.add_argument("--type", help="default: what settings.py says, else the name's letters")
        parser.add_argument("--flavor", help="default: what settings.py says")
        parser.add_argument("--image", help="default: OPENSTACK_IMAGE of settings.py")
        parser.add_argument("--volume", type=int, metavar="GB", help="boot from a volume of that size")
        parser.add_argument("--network", action="append", default=[], help="may be given several times")
        parser.add_argument("--zone", help="default: the one where the fewest of its type are")
        parser.add_argument("--yes", action="store_true", help="delete broken servers and make them anew")
        return parser

    def take_action(self, parsed_args: Namespace) -> None:
        settings, cloud = deployment(self)
        given = parsed_args
        asked = Asked(given.type, given.flavor, given.image, given.volume, tuple(given.network), given.zone)
        specs = [boot_spec(settings, name, asked=asked) for name in given.names]
        try:
            cloud.boot(specs, _line, lambda _: given.yes)
        finally:
            for warning in cloud.warnings:
                print(f"warning: {warning}", file=sys.stderr)


class Delete(Command):
    """Delete servers with their addresses and pinned host keys, and wait until they are gone."""

    def get_parser(self, prog_name: str) -> ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("names", metavar="NAME", nargs="+", help="a server of this deployment")
        return parser

    def take_action(self, parsed_args: Namespace) -> None:
        _, cloud = deployment(self)
        cloud.delete(parsed_args.names, _line)


COMMANDS: dict[str, Any] = {"list": ListServers, "show": Show, "boot": Boot, "delete": Delete}


def _line(name: str, phase: str) -> None:
    print(f"{name}: {phase}", flush=True)
