"""What split, merge and move have in common: a Change and what the command line says besides it in, the deed out."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from invoke.context import Context
from invoke.tasks import Task

from deploymachine.errors import UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.tasks._deployment import cloud, plain_deployment, settings
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._report import reported
from deploymachine.tasks._words import worded
from deploymachine.tasks.ssh_config import keep_up

if TYPE_CHECKING:
    from deploymachine.cloud import Cloud
    from deploymachine.report import Report
    from deploymachine.servertypes import Deployment
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
class Said:
    """What the command line says besides what is to become of which servers. verb: the task."""

    verb: str
    plan: bool = False
    yes: bool = False
    resume: bool = False
    abort: bool = False
    finish: bool = False
    delete: bool = False
    write_settings: bool = False
    patience: int = 3600


OPTIONS = [
    inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default)
    for one in fields(Said)
    if one.name in HELP
]


def changing(**help: str) -> Callable[[Callable[..., Change]], Task[Any]]:
    """A task of that name, for a body(words, its own options) that tells the Change; the options of Said come behind.

    Going on with what is under way, going back and finishing it need no body. help: of the body's own options.
    """

    def made(body: Callable[..., Change]) -> Task[Any]:
        def run(_: Context, words: list[str], **given: Any) -> None:
            said = Said(body.__name__, **{one.name: given.pop(one.name) for one in OPTIONS})
            if not _goes_on(said, words):
                _refuse_second()  # first: what is in between has more servers than settings.py tells of
                _begin(body(words, **given), said)

        own = list(inspect.signature(body).parameters.values())
        context = inspect.Parameter("_", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__name__, run.__doc__ = body.__name__, body.__doc__
        run.__signature__ = inspect.Signature([context, *own, *OPTIONS])  # type: ignore[attr-defined]
        # No letters: Invoke would give one letter different meanings, --finish here, --into or --flavor there.
        return worded(auto_shortflags=False, help={**HELP, **help})(run)

    return made


def _goes_on(said: Said, words: Sequence[str]) -> bool:
    """Go on with what is under way, go back or finish it, where that is what was said; False where it is not."""
    asked = [name for name in ("resume", "abort", "finish") if getattr(said, name)]
    if len(asked) > 1 or (asked and words):
        raise UsageError(
            f"--{' and --'.join(asked)}: one at a time, and by itself",
            hint=f"`fab {said.verb} --{asked[0]}` knows which",
        )
    if not asked:
        if said.delete or (said.write_settings and not words and said.verb != "move"):
            raise UsageError("What is to be done?", hint=f"`fab {said.verb} --help` shows it")
        return False
    from deploymachine.split import journal as journals

    journal = journals.read(settings()) or _brought()
    if journal is None:
        raise UsageError("Nothing is under way", hint=f"`fab {said.verb} ... --plan` shows what would be")
    {"resume": _resume, "abort": _abort, "finish": _finish}[asked[0]](journal, said)
    return True


def _brought() -> Journal | None:
    """The journal that another machine has left on the servers; from now on it is kept here, and who leads by it."""
    from deploymachine.servertypes import _database
    from deploymachine.split import journal as journals

    here = plain_deployment()
    found = journals.fetched(here.inventory, here)
    if found is not None:
        for server in here.inventory:
            if server.name == found.leads:
                _database.record_primary(server, here)
        journals.write(found, here.settings)
        print(f"Begun elsewhere, {found.id}; its journal is taken from the servers.", flush=True)
    return found


def _refuse_second() -> None:
    from deploymachine.split import run

    run.refuse_second(settings())


def _begin(change: Change, said: Said) -> None:
    """Measure and show the plan; with the user's word, do it."""
    from deploymachine.servertypes import _database
    from deploymachine.split import moves, plan, run, steps, work
    from deploymachine.split.states import BEFORE, DURING, deployment_in, foreseen

    here = plain_deployment()
    _check_up(here.inventory, change)
    there = foreseen(change, here)
    leads = _database.primary(deployment_in(BEFORE, change, here))
    about = _work(change, tuple(moves.moves(change, here)), said, leads.name if leads is not None else "")
    during = deployment_in(DURING, change, there)
    if change.newcomers:
        about.cloud(during).foresee([one.name for one in change.newcomers])
    sizes = {one: work.measure(about, one, there) for one in about.moves}
    flavors = {spec.name: spec.flavor for spec in work.specs(about, during)}
    every = steps.steps(about)
    print("\n".join(plan.told(change, every, sizes, moves.ends(change, here), flavors)), flush=True)
    _show_settings(change, write=False, then=said.write_settings)
    if said.plan or not agreed(f"{plan.headline(change)}?", said.yes):
        return
    _go(about, run.begin(about, settings()), said)


def _go(about: Work, journal: Journal, said: Said) -> None:
    from deploymachine.split.run import Run

    try:
        Run(about, journal, settings(), reported).go()
    finally:
        keep_up()
    _show_settings(journal.change, write=said.write_settings)
    command = journal.command
    print(f"Done. The old data are kept: `{command} --finish` removes them, `{command} --abort` goes back.", flush=True)


def _resume(journal: Journal, said: Said) -> None:
    from deploymachine.split.journal import BACK, DONE

    if journal.state == BACK:
        _abort(journal, said)
    elif journal.state == DONE:
        _show_settings(journal.change, write=said.write_settings)
        print(f"It is done: `{journal.command} --finish` removes the old data, `{journal.command} --abort` goes back.")
    else:
        _go(_work(journal.change, journal.moves, said, journal.primary), journal, said)


def _abort(journal: Journal, said: Said) -> None:
    from deploymachine.split.run import Run
    from deploymachine.split.shapes import reversed_

    change = journal.change
    if not agreed(f"Go back from the {change.verb} of {', '.join(change.before)}?", said.yes):
        return
    Run(_work(change, journal.moves, said, journal.primary), journal, settings(), reported).abort()
    keep_up()
    _show_settings(reversed_(change), write=said.write_settings)
    left = ", ".join(change.joining)
    if left and not change.newcomers:
        print(f"{left}: as it is now; SERVERS in settings.py names it still.")
    elif left and not said.delete:
        print(
            f"{left}: set aside for a look, of no deployment now; `fab openstack_leaks --delete --data` deletes that."
        )
    print("All is as it was before.", flush=True)


def _finish(journal: Journal, said: Said) -> None:
    from deploymachine.protected import refuse
    from deploymachine.split.run import Run

    change = journal.change
    _check_said(change)
    going = ", ".join(change.going)
    refuse(f"remove what {', '.join(change.before)} kept", settings(), *change.before)
    what = f"{going} with all that is on it, and " if going else ""
    if not agreed(f"Remove {what}the old data of {', '.join(change.before)}? There is no way back then.", said.yes):
        return
    Run(_work(change, journal.moves, said, journal.primary), journal, settings(), reported).finish()
    keep_up()
    print("Finished: nothing of before is left.", flush=True)


def _work(change: Change, moves: Any, said: Said, primary: str) -> Work:
    from deploymachine.cloud import Cloud
    from deploymachine.report import Report
    from deploymachine.split.no_cloud import NoCloud
    from deploymachine.split.work import Work

    def there(here: Deployment) -> Cloud:
        return Cloud(here.settings, cloud().connection) if settings().OPENSTACK_SERVERS else cast("Cloud", NoCloud())

    return Work(
        change,
        moves,
        plain_deployment,
        there,
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
        print(f"\n{settings_diff.by_hand(path, change, settings_diff.named_in(settings()))}", flush=True)
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
    if change.verb == "split" and not settings().OPENSTACK_SERVERS:
        return  # the new ones stand in SERVERS, as these do
    for name in change.before:
        if not inventory.named(name).id:
            raise UsageError(
                f"{name} is on no OpenStack, so its type stands in settings.py only",
                hint="boot servers of the new types, and move the data by `fab dbserver postgresql.promote`",
            )


def _check_said(change: Change) -> None:
    """Raises UsageError where only settings.py tells of what type servers are, and it says otherwise still."""
    from deploymachine.inventory import fixed
    from deploymachine.split.shapes import COMMAND, a

    for server in fixed(settings()):
        kind = change.after.get(server.name, server.type)
        if kind != server.type:
            raise UsageError(
                f"settings.py says that {server.name} is {a(server.type)} still; it has to be {a(kind)} now",
                why="it is on no OpenStack, so nobody else tells its type",
                hint=f"`{COMMAND[change.verb]} --resume --write-settings` writes it",
            )
