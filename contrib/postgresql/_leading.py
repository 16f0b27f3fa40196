"""Who leads the databases and who follows: told, noted, and changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from deploymachine.contrib.postgresql._there import YES, keepers, megabytes
from deploymachine.errors import CloudError, ConvergeError, UsageError
from deploymachine.tasks import deployment, selected, task
from deploymachine.tasks._deployment import cloud
from deploymachine.tasks._prompt import agreed, typed
from deploymachine.tasks._report import reported
from deploymachine.tasks._table import print_json, print_table, written_age

if TYPE_CHECKING:
    from deploymachine.databases import Old


@task(help={"json": "as JSON"})
def state(_: Context, json: bool = False) -> None:
    """Who leads, who follows how far behind, and how old the backups are: `fab dbserver postgresql.state`."""
    from deploymachine import databases

    here = deployment()
    found = {server.name: databases.look(server, "state", here) for server in keepers(here)}
    if json:
        print_json(found)
        return
    rows = [_state_row(name, one) for name, one in found.items()]
    print_table(["server", "role", "version", "connections", "databases", "behind", "last backup"], rows)


@task()
def primary(_: Context) -> None:
    """Ask the selected dbservers who leads, and note it here for all later runs."""
    from deploymachine import databases
    from deploymachine.servertypes import _database

    here = deployment()
    leading = [s for s in keepers(here) if databases.look(s, "state", here)["role"] == "primary"]
    if len(leading) != 1:
        names = ", ".join(server.name for server in leading) or "none of them"
        raise ConvergeError(
            f"There has to be one primary; these are: {names}",
            hint="`fab dbserver postgresql.promote --server NAME` says which it is",
        )
    _database.record_primary(leading[0], here)
    print(f"{leading[0].name} leads; `fab everything kokki` tells everybody")


@task(
    help={
        "server": "the replica that shall lead",
        "yes_i_mean_it": "name of an old primary that does not answer",
        "is_off": "it is off for sure: don't have its cloud switch it off",
        **YES,
    }
)
def promote(_: Context, server: str, yes: bool = False, yes_i_mean_it: str = "", is_off: bool = False) -> None:
    """Have a replica lead, the old primary given up: `fab dbserver postgresql.promote --server dbserver2`.

    What both hold is compared; sites are held for a moment, and then write to the new one. Nothing is lost. An old
    primary that does not answer is switched off first; what only it has is lost to the sites then, and kept aside.
    """
    from deploymachine import databases

    here = deployment()
    selected(here.inventory)
    new = here.inventory.named(server)
    old = databases.old_primary(new, here)
    if old is not None and old.silent:
        _leave_behind(old, new.name, yes_i_mean_it, is_off)
    elif not agreed(f"{_handing_over(old.server.name if old else '')}{new.name} leads from now on. Go on?", yes):
        raise UsageError("Nobody was promoted")
    with reported() as shown:
        done = databases.promote(new, old, here, shown)
    for line in done.proof:
        print(line)
    if done.pause:
        print(f"Sites were held for {done.pause:.2f} s")
    if old is not None:
        print(_afterwards(old))


def _leave_behind(old: Old, new: str, yes_i_mean_it: str, is_off: bool) -> None:
    """See to it that a primary that does not answer is off, after asking. Raises UsageError."""
    name, lost = old.server.name, f"what it has and {new} has not is lost to the sites"
    by_cloud = not (is_off or old.is_off or old.is_fixed)
    if old.is_off:
        why = f"{name} is off, as its cloud says; {lost}"
    elif by_cloud:
        why = f"{name} does not answer. Its cloud switches it off, so that no two are written to; {lost}"
    else:
        why = f"{name} does not answer. If it still runs there are two that are written to: switch it off; {lost}"
    if not typed(why, name, yes_i_mean_it):
        raise UsageError("Nobody was promoted")
    if not by_cloud:
        return
    try:
        cloud().switch_off(name)
    except CloudError as error:
        raise UsageError(
            f"{name} could not be switched off, so nobody was promoted",
            why=" ".join(filter(None, (error.what, error.why))),
            hint="have it switched off in another way, then say --is-off",
        ) from None
    print(f"{name} is off")


def _afterwards(old: Old) -> str:
    name = old.server.name
    follow = f"`fab server:{name} postgresql.follow --server {name}` makes it a replica"
    if not old.silent:
        return follow
    boot = "when it is back" if old.is_fixed else f"`fab openstack_boot {name}` starts it again"
    return f"{boot}; it finds out that another leads, and gives its databases up. Then {follow}"


@task(help={"server": "who shall follow the primary", **YES})
def follow(_: Context, server: str, yes: bool = False) -> None:
    """Make a server a fresh copy of the primary; data of its own are kept aside."""
    from deploymachine import databases

    here = deployment()
    selected(here.inventory)
    one = here.inventory.named(server)
    if not agreed(f"{one.name} gives up what it has and copies the primary. Go on?", yes):
        raise UsageError("Nothing was changed")
    with reported() as shown:
        databases.follow(one, here, shown)


def _handing_over(old: str) -> str:
    return f"{old} gives its databases up: sites are held for a moment. " if old else ""


def _state_row(name: str, found: dict[str, Any]) -> list[str]:
    backup = found.get("backup")
    behind = [f"{one['name']}: {megabytes(one['lag_bytes'] or 0)}" for one in found.get("replicas", ())]
    if found["role"] == "replica":
        behind = [written_age(found["lag_seconds"] or 0.0) if found["receiving"] else "NOT CONNECTED"]
    return [
        name,
        found["role"],
        found["version"],
        str(found.get("connections", "")),
        megabytes(found["size"]) if "size" in found else "",
        ", ".join(behind),
        written_age(time.time() - backup["ended"]) if backup else "none",
    ]
