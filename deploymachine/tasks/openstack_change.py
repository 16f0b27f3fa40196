"""Tasks that change or remove servers on OpenStack while the site serves on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine import servertypes
from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.tasks._deployment import cloud, cloud_now, deployment, settings
from deploymachine.tasks._names import named_task
from deploymachine.tasks._prompt import agreed, typed
from deploymachine.tasks._report import reported
from deploymachine.tasks._table import print_table
from deploymachine.tasks._task import task
from deploymachine.tasks.ssh_config import keep_up

if TYPE_CHECKING:
    from deploymachine.report import Report

YES = "do not ask"
MEAN_IT = "type the second answer beforehand: the names, with commas"
FORCE = "go on when a server that should be told who goes can't be reached"
WAIT = "seconds that requests under way may take to end; default 60"


@named_task(help={"names": "servers' names", "yes": YES, "yes_i_mean_it": MEAN_IT, "force": FORCE, "wait": WAIT})
def openstack_kill(
    _: Context, names: list[str], yes: bool = False, yes_i_mean_it: str = "", force: bool = False, wait: int = 60
) -> None:
    """Take servers out of service and delete them with what they own: `fab openstack_kill appnode2`. Asks first."""
    from deploymachine.cloud.specs import check_not_fixed
    from deploymachine.drain import Leaving
    from deploymachine.scale_down import asks_twice, chosen, remove, telling

    here = deployment()
    for name in names:
        check_not_fixed(here.settings, name)
    belongings = cloud().belongings(names)
    servers = chosen(names, here.inventory, belongings)
    print("\n".join(telling(servers, belongings, here)), flush=True)
    if not agreed(f"Delete {', '.join(server.name for server in servers)}?", yes):
        return
    for name, why in asks_twice(servers, here).items():
        if not typed(why, name, yes_i_mean_it):
            raise UsageError(f"{name} was not deleted, nor was anything else", why=f"{name!r} was not what was typed")
    with reported() as shown:
        leaving = Leaving(servers, deployment(), shown, float(wait), force)  # as it is now: the answer took its time
        notes = remove(cloud_now(), leaving, phases(shown, servers))
    warn(notes)
    keep_up()


@task(help={"yes_i_mean_it": "the deployment's name, typed beforehand"})
def openstack_sudokillem(_: Context, yes_i_mean_it: str = "") -> None:
    """Delete every server of the deployment and all else of it in the cloud, volumes and images included."""
    from deploymachine.scale_down import everybody, telling_all

    here, name = cloud(), settings().DEPLOYMENT
    servers = everybody(settings(), here.servers())
    belongings = here.belongings([server.name for server in servers])
    left = here.leaks(baked=True)
    print("\n".join(telling_all(servers, belongings, left)), flush=True)
    if not servers and not left:
        return
    if not typed(f"All of the deployment {name} goes, its data with it", name, yes_i_mean_it):
        raise UsageError("Nothing was deleted", why=f"{name!r} was not what was typed")
    with reported() as shown:
        here.delete([server.name for server in servers], phases(shown, servers))
    here.delete_leaks(here.leaks(baked=True))
    keep_up()


@task(help={"delete": "delete them, after asking", "data": "those that hold kept data, too", "yes": YES})
def openstack_leaks(_: Context, delete: bool = False, data: bool = False, yes: bool = False) -> None:
    """What bears this deployment's mark in the cloud and nobody uses: addresses, ports, volumes, groups, images."""
    found = cloud().leaks()
    if not found:
        print(f"Nothing of the deployment {settings().DEPLOYMENT} lies about unused.")
        return
    print_table(("kind", "name", "id", "why"), [(one.kind, one.name, one.id, one.why) for one in found])
    doomed = [leak for leak in found if data or not leak.data]
    if not delete:
        return
    if len(doomed) < len(found):
        print(f"Kept data stays ({len(found) - len(doomed)}): --data deletes it as well.")
    if doomed and agreed(f"Delete {', '.join(f'{leak.kind} {leak.name}' for leak in doomed)}?", yes):
        cloud().delete_leaks(doomed)
        print(f"Deleted {len(doomed)}.")


@task(
    positional=["name"],
    help={
        "name": "the server's name",
        "image": "another image; default: the one it has",
        "yes": YES,
        "yes_i_mean_it": MEAN_IT,
        "force": FORCE,
        "wait": WAIT,
    },
)
def openstack_rebuild(
    _: Context,
    name: str,
    image: str = "",
    yes: bool = False,
    yes_i_mean_it: str = "",
    force: bool = False,
    wait: int = 60,
) -> None:
    """Put a server's image on its disk anew, drained first. Asks, and says what is lost."""
    from deploymachine.drain import Leaving
    from deploymachine.remake import loses, rebuild
    from deploymachine.scale_down import asks_twice

    here = deployment()
    server = cloud().servers().named(name)
    if not agreed(f"Rebuild {name}? {loses(server, here)}. Its name, addresses and volumes stay.", yes):
        return
    # The last of its type comes back, so it is only data that is asked about twice.
    if servertypes.keeps(server, here):
        for twice, why in asks_twice([server], here).items():
            if not typed(why, twice, yes_i_mean_it):
                raise UsageError(f"{name} was not rebuilt", why=f"{name!r} was not what was typed")
    with reported() as shown:
        notes = rebuild(
            cloud_now(), Leaving([server], here, shown, float(wait), force), image or None, phases(shown, [server])
        )
    warn(notes)
    keep_up()
    print(f"It is bare now: `fab root provision`, `fab {server.type} launch`, then `fab kokki:loadbalancer`.")


@task(
    positional=["name", "flavor"],
    help={"name": "the server's name", "flavor": "its new flavor", "yes": YES, "force": FORCE, "wait": WAIT},
)
def openstack_resize(
    _: Context, name: str, flavor: str, yes: bool = False, force: bool = False, wait: int = 60
) -> None:
    """Give a server another flavor: drained, resized, serving and back in; what fails is put back."""
    from deploymachine.drain import Leaving
    from deploymachine.remake import resize

    server = cloud().servers().named(name)
    cloud().check_resize(name, flavor)
    if not agreed(f"Resize {name} from {server.flavor} to {flavor}? It is off for a moment; its data stays.", yes):
        return
    with reported() as shown:
        leaving = Leaving([server], deployment(), shown, float(wait), force)
        notes = resize(cloud_now(), leaving, flavor, phases(shown, [server]))
    warn(notes)


@task(positional=["name"], help={"name": "a launched server's name"})
def openstack_bake(_: Context, name: str) -> None:
    """Make an image of a launched server, from which the next of its type boots ready. The server serves on."""
    from deploymachine.bake import bake

    here = deployment()
    server = cloud().servers().named(name)
    with reported() as shown:
        image = bake(cloud(), server, here, shown, phases(shown, [server]))
    print(f"{image}: the next {server.type} boots from it.")


@task(positional=["name"], help={"name": "the server's name", "lines": "how many of the last lines; default: all"})
def openstack_console(_: Context, name: str, lines: int = 0) -> None:
    """What a server wrote on its console, also where SSH does not answer."""
    print(cloud().console_log(name, lines or None))


def phases(shown: Report, servers: Sequence[Server]) -> Callable[[str, str], None]:
    """Turns what the cloud tells of each server into rows of the report."""
    from deploymachine.cloud import BAKED, FAILED, GONE, SSH

    by_name = {server.name: server for server in servers}

    def progress(name: str, phase: str) -> None:
        if phase in {BAKED, GONE, SSH}:
            shown.event(by_name[name], {"event": "step-done", "step": phase, "state": "changed"})
        if phase in {BAKED, GONE, SSH, FAILED}:
            shown.end(by_name[name], "failed" if phase == FAILED else "ok", phase)
        else:
            shown.phase(by_name[name], phase)

    return progress


def warn(notes: Iterable[str]) -> None:
    """What went well enough to go on, and should be known."""
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
