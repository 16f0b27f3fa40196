"""Tasks by which servers become others under traffic, with their data: split, merge, move."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.tasks._deployment import cloud, plain_deployment, settings
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._words import listed, moved, one_of, pairs, worded
from deploymachine.tasks.ssh_config import keep_up

if TYPE_CHECKING:
    from deploymachine.report import Report
    from deploymachine.split.journal import Journal
    from deploymachine.split.shapes import Change
    from deploymachine.split.work import Progress, Work

HELP = {
    "plan": "show the steps, what moves, how long it takes and the ways back; change nothing",
    "yes": "do not ask",
    "resume": "go on with one that was cut off",
    "abort": "go back: take back what was done, new servers are set aside",
    "finish": "remove the old data, and the servers that go: nothing to go back to is left. Asks",
    "delete": "with --abort: delete the new servers",
    "write_settings": "write the change into settings.py; without this it is shown as a diff",
    "patience": "seconds that copies may take to catch up; default 3600",
}


@dataclass(frozen=True)
class _Said:
    """What the command line says besides what is to become of which servers."""

    verb: str
    plan: bool
    yes: bool
    resume: bool
    abort: bool
    finish: bool
    delete: bool
    write: bool
    patience: int


@worded(
    help={
        **HELP,
        "into": "types, with commas; default: dbappbalancer into appbalancer,dbserver; appbalancer into "
        "loadbalancer,appnode. `--into dbappbalancer,lognode` adds one",
        "names": "names of new servers: dbserver=db9,appnode=app4; default: the type and a number",
        "server": "which one, where there are several of the type",
    }
)
def split(
    _: Context,
    words: list[str],
    into: str = "",
    names: str = "",
    server: str = "",
    plan: bool = False,
    yes: bool = False,
    resume: bool = False,
    abort: bool = False,
    finish: bool = False,
    delete: bool = False,
    write_settings: bool = False,
    patience: int = 3600,
) -> None:
    """Have one server become several, with its data, while visitors are served: `fab split dbappbalancer --plan`.

    New servers are booted and cooked, databases, caches, queues and files copied and switched, then the old one stops
    what others do. Its old data stay until `fab split --finish`; until then `fab split --abort` goes back.
    """
    said = _Said("split", plan, yes, resume, abort, finish, delete, write_settings, patience)
    if _goes_on(said, words):
        return
    from deploymachine.split import shapes

    here = plain_deployment()
    if len(words) != 1:
        raise UsageError("A split is of one server", hint="name its type: `fab split dbappbalancer --plan`")
    old = one_of(words[0], server, here.inventory)
    _begin(shapes.split(old, listed(into), pairs(names), here.inventory, here.settings), said)


@worded(help={**HELP, "into": "the type of the one that stays; default: the smallest that does the work of all"})
def merge(
    _: Context,
    words: list[str],
    into: str = "",
    plan: bool = False,
    yes: bool = False,
    resume: bool = False,
    abort: bool = False,
    finish: bool = False,
    delete: bool = False,
    write_settings: bool = False,
    patience: int = 3600,
) -> None:
    """Have one server do the work of several, with their data, as split does: `fab merge appbalancer dbserver --plan`.

    The one that visitors come to stays. The others stop, and are deleted by `fab merge --finish`; until then
    `fab merge --abort` goes back.
    """
    said = _Said("merge", plan, yes, resume, abort, finish, delete, write_settings, patience)
    if _goes_on(said, words):
        return
    from deploymachine.split import shapes

    here = plain_deployment()
    servers = [one_of(word, "", here.inventory) for word in words]
    _begin(shapes.merge(servers, into, here.inventory, here.settings), said)


@worded(
    help={
        **HELP,
        "to": "the new server's name",
        "flavor": "the new server's flavor; default: as the old one's",
        "zone": "its availability zone; default: as settings.py says",
        "server": "which one, where there are several of the type",
    }
)
def move(
    _: Context,
    words: list[str],
    to: str = "",
    flavor: str = "",
    zone: str = "",
    server: str = "",
    plan: bool = False,
    yes: bool = False,
    resume: bool = False,
    abort: bool = False,
    finish: bool = False,
    delete: bool = False,
    write_settings: bool = False,
    patience: int = 3600,
) -> None:
    """Have a new server take over all that another does, as split does: `fab move dbserver --to dbserver2`.

    Also `fab appnode move --to appnode3`. The old one stops, and is deleted by `fab move --finish`; until then
    `fab move --abort` goes back.
    """
    said = _Said("move", plan, yes, resume, abort, finish, delete, write_settings, patience)
    if _goes_on(said, words):
        return
    from deploymachine.split import shapes

    here = plain_deployment()
    if not to:
        raise UsageError(
            "Which server is it to move to?", hint="say the new one's name: `fab move dbserver --to dbserver2`"
        )
    old = moved(words, server, here.inventory)
    _begin(shapes.move(old, to, flavor, zone, here.inventory, here.settings), said)


def _goes_on(said: _Said, words: Sequence[str]) -> bool:
    """Go on with what is under way, go back or finish it, where that is what was said; False where it is not."""
    asked = [name for name in ("resume", "abort", "finish") if getattr(said, name)]
    if len(asked) > 1 or (asked and words):
        raise UsageError(
            f"--{' and --'.join(asked)}: one at a time, and by itself",
            hint=f"`fab {said.verb} --{asked[0]}` knows which",
        )
    if not asked:
        if said.delete or (said.write and not words and said.verb != "move"):
            raise UsageError("What is to be done?", hint=f"`fab {said.verb} --help` shows it")
        return False
    from deploymachine.split import journal as journals

    journal = journals.read(settings()) or _brought(journals)
    if journal is None:
        raise UsageError("Nothing is under way", hint=f"`fab {said.verb} ... --plan` shows what would be")
    {"resume": _resume, "abort": _abort, "finish": _finish}[asked[0]](journal, said)
    return True


def _brought(journals: Any) -> Journal | None:
    """The journal that another machine has left on the servers."""
    here = plain_deployment()
    found: Journal | None = journals.fetched(here.inventory, here)
    return found


def _begin(change: Change, said: _Said) -> None:
    """Measure and show the plan; with the user's word, do it."""
    from deploymachine.servertypes import _database
    from deploymachine.split import moves, plan, run, steps, work
    from deploymachine.split.states import DURING, deployment_in, foreseen

    run.refuse_second(settings())
    here = plain_deployment()
    _check_up(here.inventory, change)
    there = foreseen(change, here)
    leads = _database.primary(here)
    about = _work(change, tuple(moves.moves(change, here)), said, leads.name if leads is not None else "")
    during = deployment_in(DURING, change, there)
    if change.newcomers:
        about.cloud(during).foresee([one.name for one in change.newcomers])
    sizes = {one: work.measure(about, one, there) for one in about.moves}
    flavors = {spec.name: spec.flavor for spec in work.specs(about, during)}
    every = steps.steps(about)
    print("\n".join(plan.told(change, every, sizes, moves.ends(change, here), flavors)), flush=True)
    _show_settings(change, write=False, then=said.write)
    if said.plan or not agreed(f"{plan.headline(change)}?", said.yes):
        return
    _go(about, run.begin(about, settings()), said)


def _go(about: Work, journal: Journal, said: _Said) -> None:
    from deploymachine.split.run import Run

    try:
        Run(about, journal, settings(), reported).go()
    finally:
        keep_up()
    _show_settings(journal.change, write=said.write)
    command = journal.command
    print(f"Done. The old data are kept: `{command} --finish` removes them, `{command} --abort` goes back.", flush=True)


def _resume(journal: Journal, said: _Said) -> None:
    from deploymachine.split.journal import BACK, DONE

    if journal.state == BACK:
        _abort(journal, said)
    elif journal.state == DONE:
        _show_settings(journal.change, write=said.write)
        print(f"It is done: `{journal.command} --finish` removes the old data, `{journal.command} --abort` goes back.")
    else:
        _go(_work(journal.change, journal.moves, said, journal.primary), journal, said)


def _abort(journal: Journal, said: _Said) -> None:
    from deploymachine.split.run import Run
    from deploymachine.split.shapes import reversed_

    change = journal.change
    if not agreed(f"Go back from the {change.verb} of {', '.join(change.before)}?", said.yes):
        return
    Run(_work(change, journal.moves, said, journal.primary), journal, settings(), reported).abort()
    keep_up()
    _show_settings(reversed_(change), write=said.write)
    left = ", ".join(change.joining)
    if left and not said.delete:
        print(
            f"{left}: set aside for a look, of no deployment now; `fab openstack_leaks --delete --data` deletes that."
        )
    print("All is as it was before.", flush=True)


def _finish(journal: Journal, said: _Said) -> None:
    from deploymachine.protected import refuse
    from deploymachine.split.run import Run

    change = journal.change
    going = ", ".join(change.going)
    refuse(f"remove what {', '.join(change.before)} kept", settings(), *change.before)
    what = f"{going} with all that is on it, and " if going else ""
    if not agreed(f"Remove {what}the old data of {', '.join(change.before)}? There is no way back then.", said.yes):
        return
    Run(_work(change, journal.moves, said, journal.primary), journal, settings(), reported).finish()
    keep_up()
    print("Finished: nothing of before is left.", flush=True)


def _work(change: Change, moves: Any, said: _Said, primary: str) -> Work:
    from deploymachine.cloud import Cloud
    from deploymachine.report import Report
    from deploymachine.split.work import Work

    if not settings().OPENSTACK_SERVERS:
        raise UsageError(
            "Only servers on an OpenStack can be split, merged and moved",
            why="OPENSTACK_SERVERS in settings.py names none, so there is nowhere to boot one",
        )
    return Work(
        change,
        moves,
        plain_deployment,
        lambda here: Cloud(here.settings, cloud().connection),
        Report(sys.stdout),
        _progress,
        lambda line: print(line, flush=True),
        primary,
        delete=said.delete,
        patience=float(said.patience),
    )


def _progress(shown: Report, servers: Sequence[Server]) -> Progress:
    """Turns what the cloud tells of each server into rows of the report."""
    from deploymachine.cloud import EXISTS, FAILED, GONE, SSH

    by_name = {server.name: server for server in servers}
    ends = {EXISTS: "skipped", SSH: "ok", GONE: "ok", FAILED: "failed"}

    def progress(name: str, phase: str) -> None:
        if phase in ends:
            shown.end(by_name[name], ends[phase], phase)
        else:
            shown.phase(by_name[name], phase)

    return progress


def _show_settings(change: Change, *, write: bool, then: bool = False) -> None:
    """What settings.py has to say; it is written there only where that was asked for. then: it will be, in the end."""
    from deploymachine.errors import SettingsError
    from deploymachine.settings_file import settings_path
    from deploymachine.split import settings_diff
    from deploymachine.tasks._deployment import directory

    path = settings_path(directory())
    before = path.read_text(encoding="utf-8")
    try:
        after = settings_diff.changed(before, change, settings())
    except SettingsError:
        print(f"\n{settings_diff.by_hand(path, change)}", flush=True)
        return
    if shown := settings_diff.diff(before, after, path.name):
        print(f"\n{shown}\n", flush=True)
        if write:
            settings_diff.apply(path, after, change, settings())
            settings.cache_clear()
            print(f"{path.name} says so now.", flush=True)
        else:
            how = "is written when all is done" if then else "has to be there in the end; --write-settings writes it"
            print(f"That change of {path.name} {how}.", flush=True)


def _check_up(inventory: Inventory, change: Change) -> None:
    for server in inventory:
        if server.state != "ACTIVE":
            raise UsageError(
                f"{server.name} is {server.state}, so it can't be told who does what",
                hint=f"`fab openstack_boot {server.name}` mends it, `fab openstack_kill {server.name}` removes it",
            )
    for name in change.before:
        if not inventory.named(name).id:
            raise UsageError(
                f"{name} is on no OpenStack, so its type stands in settings.py only",
                hint="boot servers of the new types, and move the data by `fab dbserver postgresql.promote`",
            )
