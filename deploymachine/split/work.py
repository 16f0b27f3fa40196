"""What each step of a change does, and how it is taken back: a Work in, servers changed. Everything is repeatable."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from deploymachine import databases, drain
from deploymachine.cook import cook
from deploymachine.deploy import deploy
from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.launch import doorkeepers, tell_lognodes
from deploymachine.leading import state_of
from deploymachine.provision import provision as provision_servers
from deploymachine.report import Report
from deploymachine.servertypes import Deployment, _database
from deploymachine.split import leaving, logs, visiting
from deploymachine.split.moves import Move
from deploymachine.split.part import DATABASE, GONE, MEDIA, PATIENCE, Moving, Part, Size, Switched
from deploymachine.split.reach import reached
from deploymachine.split.shapes import Change
from deploymachine.split.states import AFTER, BEFORE, DURING, booted, deployment_in

if TYPE_CHECKING:
    from deploymachine.cloud import BootSpec, Cloud

SITES = {"appnode", "tasknode"}
Progress = Callable[[str, str], None]


@dataclass(frozen=True)
class Work:
    """A change and all it takes to do it. look: the deployment as it is now. cloud: it, with a deployment's settings.

    switched: the parts that others do already. delete: a change that is taken back deletes its new servers.
    """

    change: Change
    moves: tuple[Move, ...]
    look: Callable[[], Deployment]
    cloud: Callable[[Deployment], Cloud]
    report: Report
    progress: Callable[[Report, Sequence[Server]], Progress]
    say: Callable[[str], None]
    primary: str = ""
    switched: tuple[str, ...] = ()
    delete: bool = False
    patience: float = PATIENCE

    @property
    def grown(self) -> tuple[str, ...]:
        """The names of servers that are there and begin to do more."""
        change = self.change
        return tuple(name for name in change.retyped if change.gains(name))

    def at(self, stage: str) -> Deployment:
        return deployment_in(stage, self.change, self.look(), self.switched)

    def named(self, names: Iterable[str], deployment: Deployment) -> list[Server]:
        return [server for server in deployment.inventory if server.name in {*names}]

    def moving(self, move: Move) -> Moving:
        """The move as its part takes it, with what was switched before it."""
        here = self.at(DURING)
        old, new = here.inventory.named(move.old), here.inventory.named(move.new)
        return Moving(move.part, old, new, here, self.report, self.patience)

    def moving_back(self, move: Move) -> Moving:
        """As `moving`; the new one may be GONE."""
        here = self.at(DURING)
        new = next((one for one in here.inventory if one.name == move.new), None)
        lost = Server(move.new, self.change.after[move.new], state=GONE)
        return Moving(move.part, here.inventory.named(move.old), new or lost, here, self.report, self.patience)


def part(move: Move) -> Part:
    """The module that moves it."""
    return cast("Part", importlib.import_module(f"deploymachine.split.{move.part}"))


def measure(about: Work, move: Move, foreseen: Deployment) -> Size:
    """What is there to move. foreseen: with the new servers, which are not there yet."""
    here = deployment_in(DURING, about.change, foreseen)
    old, new = here.inventory.named(move.old), here.inventory.named(move.new)
    return part(move).measure(Moving(move.part, old, new, here, about.report, about.patience))


def specs(about: Work, deployment: Deployment) -> list[BootSpec]:
    """What to boot. deployment: that during the change."""
    from deploymachine.cloud import Asked, boot_spec

    found, known = [], {name: one for name, (_, one) in deployment.settings.booted().items()}
    for newcomer in about.change.newcomers:
        kind, described = about.change.after[newcomer.name], booted(newcomer.name, about.change, known)
        asked = Asked(kind, newcomer.flavor or (described.flavor if described is not None else None) or None)
        found.append(boot_spec(deployment.settings, newcomer.name, asked=asked))
    return found


def boot(about: Work) -> None:
    here = about.at(DURING)
    cloud = about.cloud(here)
    cloud.bring_back(about.change.joining)
    wanted = specs(about, here)
    if here.settings.OPENSTACK_BAKED_IMAGES:
        from deploymachine.bake import from_baked

        wanted, lines = from_baked(cloud, here.settings, wanted)
        for line in lines:
            about.say(line)
    cloud.boot(wanted, about.progress(about.report, [Server(spec.name, spec.type) for spec in wanted]))
    for warning in cloud.warnings:
        about.say(f"warning: {warning}")


def unboot(about: Work) -> None:
    """The new servers are left for a look, of no deployment; with `delete` they go."""
    here = about.look()
    there = about.named(about.change.joining, here)
    names = [server.name for server in there]
    if names and about.delete:
        about.cloud(here).delete(names, about.progress(about.report, there))
    elif names:
        about.cloud(here).set_aside(names)


def _delete_the_dead(about: Work) -> None:
    """New servers that are off go at once, so that none of them comes back one day and takes itself for what it was."""
    here = about.look()
    dead = [server for server in about.named(about.change.joining, here) if server.state != "ACTIVE"]
    if dead:
        about.cloud(here).delete([server.name for server in dead], about.progress(about.report, dead))


def provision(about: Work) -> None:
    here = about.at(DURING)
    try:
        provision_servers(about.named(about.change.joining, here), here, about.report)
    finally:
        about.cloud(here).publish_host_keys()


def grow(about: Work) -> None:
    about.cloud(about.at(DURING)).retype({name: about.change.during[name] for name in about.grown})


def ungrow(about: Work) -> None:
    about.cloud(about.at(BEFORE)).retype({name: about.change.before[name] for name in about.grown})


def join(about: Work) -> None:
    """Those who begin with a type's work do all of it, behind those who have it: copies, releases, no visitors."""
    here = about.at(DURING)
    about.cloud(here).keep_groups()
    _note_primary(about, here)
    servers = about.named([*about.change.joining, *about.grown], here)
    if peers := doorkeepers(servers, here):
        about.report.expect([*peers, *servers])
        cook(peers, here, about.report, phase="let in")
    tell_lognodes(servers, here, about.report)
    if servers:
        cook(servers, here, about.report)
    if nodes := [one for one in servers if _begins(one, about) & SITES]:
        _release(nodes, here, about)


def unjoin(about: Work) -> None:
    """All others forget the new ones; who has begun with more ends that, and keeps no copy, which would be old soon."""
    here = about.at(BEFORE)
    cook(list(here.inventory), here, about.report)
    for server in about.named(about.grown, here):
        _end(about, leaving.remove(server, about.change.during[server.name], here, about.report))
    about.cloud(here).keep_groups()


def copy(about: Work) -> None:
    _note_primary(about, about.at(DURING))
    for move in about.moves:
        about.say(f"{move.part}: from {move.old} to {move.new}")
        part(move).prepare(about.moving(move))


def switch(about: Work, move: Move) -> None:
    moving = about.moving(move)
    if move.part == MEDIA:
        _turn(about, moving)
    told = part(move).switch(moving)
    _tell(about, move, told)


def back(about: Work, move: Move) -> None:
    if about.delete:
        _delete_the_dead(about)
    moving = about.moving_back(move)
    if move.part == MEDIA:
        _turn(about, moving.reverse)
    part(move).back(moving)


def prove(about: Work) -> None:
    """Ask for every site through every balancer. Raises ReleaseError where one does not answer in time."""
    visiting.ask_all(about.look(), about.say)


def retype(about: Work) -> None:
    change = about.change
    about.cloud(about.at(AFTER)).retype({name: change.after[name] for name in change.retyped})


def unretype(about: Work) -> None:
    change = about.change
    about.cloud(about.at(DURING)).retype({name: change.during[name] for name in change.retyped})


def settle(about: Work) -> None:
    here = about.at(AFTER)
    about.cloud(here).keep_groups()
    cook(list(here.inventory), here, about.report)


def unsettle(about: Work) -> None:
    """Everybody knows the old ones again, who do all that they did; who leads does not change here."""
    unretype(about)
    here = about.at(DURING)
    about.cloud(here).keep_groups()
    for server in about.named(about.change.before, here):
        if server.id and server.state != "ACTIVE":
            raise UsageError(
                f"{server.name} is {server.state}, and is needed for the way back",
                hint=f"`fab openstack_boot {server.name}` starts it, then the same once more",
            )
    dead = [one for one in about.named(about.change.joining, here) if not reached(one, here)]
    for server in dead:
        about.say(f"warning: {server.name} does not answer, and is told nothing")
    cook([server for server in here.inventory if server not in dead], here, about.report)


def bring_logs(about: Work) -> None:
    """To be done when everybody sends to the new one: what the old one has is all that it will ever have."""
    for move in logs.moves(about.change):
        about.say(f"  {logs.bring(about.moving(move))} files of logs came to {move.new}")


def leave(about: Work) -> None:
    """Who is of a smaller type stops the rest; who goes stops everything, and is set aside with its disk."""
    change, after = about.change, about.at(AFTER)
    for server in about.named(change.retyped, after):
        if change.loses(server.name):
            _end(about, leaving.shrink(server, change.before[server.name], after, about.report))
    during = about.at(DURING)
    for server in about.named(change.going, during):
        if server.state == "ACTIVE":
            _end(about, leaving.stop(server, during, about.report))
        else:
            about.say(
                f"warning: {server.name} is {server.state}, so nothing was stopped there; nobody lets it in any more"
            )
    about.cloud(after).set_aside(change.going)


def unleave(about: Work) -> None:
    about.cloud(about.at(DURING)).bring_back(about.change.going)


def finish(about: Work) -> None:
    """The old data go, and the servers that go; nothing is left to go back to. Repeatable."""
    change = about.change
    about.cloud(about.look()).bring_back(change.going)
    for move in about.moves:
        if move.part == DATABASE:
            _back_up(about, move.new)
        if move.old in change.after:
            part(move).finish(about.moving(move))
    after = about.at(AFTER)
    for server in about.named(change.retyped, after):
        if change.loses(server.name):
            _end(about, leaving.remove(server, change.before[server.name], after, about.report))
    here = about.look()
    if there := about.named(change.going, here):
        about.cloud(here).delete([server.name for server in there], about.progress(about.report, there))


def _note_primary(about: Work, here: Deployment) -> None:
    """Who leads is the one who has led, whoever comes beside it."""
    if about.primary:
        _database.record_primary(here.inventory.named(about.primary), here)


def _back_up(about: Work, name: str) -> None:
    """With the old data go the backups that the old server had on its disk: whoever leads now has one of its own."""
    here = about.look()
    server = here.inventory.named(name)
    if not databases.look(server, "backups", here)["backups"]:
        databases.do(server, "backup", here, about.report)


def _begins(server: Server, about: Work) -> set[str]:
    return {*about.change.gains(server.name)}


def _release(nodes: Sequence[Server], here: Deployment, about: Work) -> None:
    """Release on the new ones what the others serve, though its branch may be further."""
    appnodes = here.inventory.serving("appnode")
    if not any(node in appnodes for node in nodes):  # they take it from those by themselves, under the same name
        deploy(nodes, here, about.report)
        return
    for name in here.settings.SITES:
        others = [one for one in appnodes if one not in nodes and one.state == "ACTIVE"]
        current = next((found for one in others if (found := state_of(name, one, here).get("current"))), None)
        if current:
            deploy(nodes, here, about.report, sites=[name], ref=str(current["sha"]))


def _turn(about: Work, moving: Moving) -> None:
    """Have the balancers send visitors to the new one and not to the old, and wait until the old has none."""
    turning = Turning([moving.old], moving.handed, about.report)
    for note in drain.drain(turning):
        about.say(f"warning: {note}")


@dataclass(frozen=True)
class Turning(drain.Leaving):
    """Servers that get no visitors any more, though they stay. deployment: as it is then."""

    @property
    def after(self) -> Deployment:
        return self.deployment


def _tell(about: Work, move: Move, told: Switched) -> None:
    for line in told.proof:
        about.say(f"  {line}")
    if told.pause:
        about.say(f"{move.part}: visitors waited for {told.pause:.2f} s")


def _end(about: Work, notes: Iterable[str]) -> None:
    for note in notes:
        about.say(f"warning: {note}")
