"""A cookbook in, a throwaway machine it is applied to, and proof that twice and dry it changes nothing, out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from deploymachine import controller, ssh
from deploymachine.cloud import BootSpec, connect
from deploymachine.cloud.userdata import new_host_key
from deploymachine.converge import Result, run
from deploymachine.cook import checked
from deploymachine.errors import ConnectError, ConvergeError, HostKeyError, UsageError
from deploymachine.inventory import Server
from deploymachine.report import Event, Report
from deploymachine.runlist import RunList
from deploymachine.settings import Settings

CASE = "test.yaml"
MACHINE = "cookbook-test"
FLAVOR = "m1.small"
LOGINS = 10
# What a machine needs to reach packages from where it stands; the same that a deployment's servers inherit.
PREPARE = ("base.apt", "base.pip")


class Case(BaseModel):
    """test.yaml of a cookbook: what to cook there.

    recipes: (): the default one.  before: cooked in a run of its own, as on a server that has been there for a while.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    recipes: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    attributes: dict[str, Any] = {}
    image: str = "debian-13"


@dataclass(frozen=True)
class Outcome:
    """What the first of three runs did: count resources, of which those changed did what `changes` says, in order."""

    image: str
    count: int
    changes: tuple[str, ...]


def read_case(folder: Path) -> Case:
    """The test of a cookbook; without test.yaml, its default recipe and attributes. Raises UsageError."""
    import yaml

    path = folder / CASE
    if not path.is_file():
        return Case(recipes=(folder.name,))
    try:
        case = Case.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(f"The test of {folder.name} can't be read", where=str(path), why=str(error)) from None
    return case if case.recipes else case.model_copy(update={"recipes": (folder.name,)})


def check(folder: Path, paths: Sequence[Path], place: Path, report: Report, image: str | None = None) -> Outcome:
    """Apply the cookbook twice, then dry, on a machine of the cloud that `place`/clouds.yaml names "devcloud".

    Raises ConvergeError where a run fails, or where the second or the dry one still finds something to do.
    """
    case = read_case(folder)
    image = image or case.image
    settings = make_settings(place)
    with machine(settings, image, report) as connection:
        trial = _Trial(connection, report, {**surroundings(settings), **case.attributes}, tuple(paths))
        trial.cook("prepare", (*PREPARE, *case.before))
        _, first = trial.cook("apply", case.recipes)
        again, second = trial.cook("apply again", case.recipes)
        _refuse(folder.name, "changes something each time it is applied", second, bad=again.changed > 0)
        dry, third = trial.cook("dry run", case.recipes, dry_run=True)
        _refuse(folder.name, "wants changes after it was applied", third, bad=dry.state == "pending")
        report.end(connection.server, "ok")
    changes = tuple(_sentence(event) for event in first if event["state"] == "changed")
    return Outcome(image, len({(event["type"], event["name"]) for event in first}), changes)


@contextmanager
def machine(settings: Settings, image: str, report: Report) -> Iterator[ssh.Connection]:
    """Root on a fresh machine, which is deleted whatever happens."""
    cloud = connect(settings)
    try:
        (server,) = cloud.boot([BootSpec(MACHINE, "base", FLAVOR, image)])
        report.expect([server])
        with _log_in(server, settings) as connection:
            yield connection
    finally:
        try:
            cloud.delete([server.name for server in cloud.servers()])
        finally:
            cloud.close()


def _log_in(server: Server, settings: Settings) -> ssh.Connection:
    """A machine that has just booted may start its sshd again, with the keys that it was given, while we come in."""
    for _ in range(LOGINS):
        try:
            return ssh.connect(server, ssh.root_login(), settings)
        except HostKeyError:
            raise
        except ConnectError:
            time.sleep(0.5)
    return ssh.connect(server, ssh.root_login(), settings)


class _Trial:
    """Runs on one machine, their resources' last words kept."""

    def __init__(
        self, connection: ssh.Connection, report: Report, attributes: dict[str, Any], paths: tuple[Path, ...]
    ) -> None:
        self.connection, self.report, self.attributes, self.paths = connection, report, attributes, paths

    def cook(self, phase: str, recipes: tuple[str, ...], *, dry_run: bool = False) -> tuple[Result, list[Event]]:
        told: list[Event] = []

        def show(server: Any, event: Event) -> None:
            self.report.event(server, event)
            if event["event"] == "resource-done":
                told.append(event)

        self.report.phase(self.connection.server, phase)
        wanted = RunList(MACHINE, ("cookbook_test",), recipes, self.attributes, self.paths)
        request = wanted.request(dry_run=dry_run)
        return checked(run(self.connection, request, show, cookbook_paths=self.paths)), told


def _refuse(name: str, what: str, events: list[Event], *, bad: bool) -> None:
    if bad:
        told = [event for event in events if event["state"] not in {"ok", "skipped"}]
        raise ConvergeError(
            f"The cookbook {name} {what}",
            why="resources say what shall be; one that always acts needs a guard: not_if, only_if or creates",
            evidence=[f"{_sentence(event)} (at {event['source']})" for event in told],
        )


def _sentence(event: Event) -> str:
    changes = "; ".join(event["changes"])
    return f"{event['type']}[{event['name']}] {event['action']}" + (f": {changes}" if changes else "")


def make_settings(place: Path) -> Settings:
    """A deployment of its own, its key in `place`; it inherits what this machine needs to reach packages."""
    key = new_host_key()
    private, public = place / "key", place / "key.pub"
    private.touch(mode=0o600)
    private.write_text(key.private)
    public.write_text(f"{key.public} {MACHINE}\n")
    return Settings(
        directory=place,
        DEPLOYMENT=f"cookbook-{secrets.token_hex(4)}",
        OPENSTACK_CLOUD="devcloud",
        OPENSTACK_SERVERS={"appnode": ((MACHINE, FLAVOR),)},
        ADMIN_SSH_KEYS=(str(public),),
        EXTRA_CA_CERTIFICATES=("/usr/local/share/ca-certificates/*.crt",),
        PIP_INDEX_URL="controller",
        APT_PROXY="controller",
    )


def surroundings(settings: Settings) -> dict[str, Any]:
    """The attributes by which a machine reaches packages from where it stands."""
    return {
        "base.ca_certificates": controller.ca_certificates(settings),
        "base.pip_index_url": controller.pip_index_url(settings),
        "base.apt_proxy": controller.apt_proxy(settings),
    }
