"""Who may log in to the servers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, reported, selected, task
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._table import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploymachine.inventory import Server
    from deploymachine.servertypes import Deployment

RECIPES = ("base.users",)
PENDING = 2
NAME = re.compile(r"[a-z][a-z0-9._-]{0,31}")


@task(help={"dry_run": "show what would change (exit code 2 if something would), change nothing"})
def sync(_: Context, dry_run: bool = False) -> None:
    """Let in exactly the admins: `fab everything users.sync`, after one has come or gone.

    Those are the keys of ADMIN_SSH_KEYS and of the files that users.add made. Changes the deploy user, its keys and its
    sudo on the selected servers, nothing else. Other keys are removed. Where your own key would not get in any more,
    the server puts back what it had.
    """
    here = deployment()
    _sync(selected(here.inventory), here, dry_run=dry_run)


@task(help={"name": "whose key it is: ada", "key": "the public key itself, or the .pub file that holds it"})
def add(_: Context, name: str, key: str) -> None:
    """Let somebody in: `fab everything users.add --name grace --key grace.pub`.

    The key is kept in admins/NAME.pub beside settings.py, where git takes it to your colleagues, and brought to the
    selected servers. It is the deploy user that everybody logs in as: whoever holds an admin's key may become root.
    """
    from deploymachine import adminkeys

    here = deployment()
    servers = selected(here.inventory)
    path = _path(name, here)
    line = adminkeys.one(key, here.settings)
    known = {" ".join(one.split()[:2]): one for one in adminkeys.read(here.settings)}
    if " ".join(line.split()[:2]) in known:
        raise UsageError("That key is an admin's already", hint="`fab everything users.list` shows whose")
    if path.exists():
        raise UsageError(
            f"{name} has a key already", where=str(path), hint="another name for another key: grace-laptop"
        )
    path.parent.mkdir(exist_ok=True)
    path.write_text(line + "\n", encoding="utf-8")
    _sync(servers, here)
    print(f"{name} may log in to {', '.join(server.name for server in servers)}")


@task(help={"name": "who, as users.add was told", "yes": "do not ask"})
def remove(_: Context, name: str, yes: bool = False) -> None:
    """Keep somebody out: `fab everything users.remove --name grace`. Asks.

    Removes admins/NAME.pub, then the key from the selected servers. Who is logged in stays so until that ends. Servers
    that could not be reached are named: `users.sync` for them once they are back. What else was known to whoever has
    gone, such as the deploy user's password, is for you to change.
    """
    from deploymachine.ssh import held_keys

    here = deployment()
    servers = selected(here.inventory)
    path = _path(name, here)
    if not path.is_file():
        names = ", ".join(sorted(one.stem for one in path.parent.glob("*.pub"))) or "nobody"
        raise UsageError(
            f"users.add let in no {name!r}",
            why=f"it let in {names}; the others stand in ADMIN_SSH_KEYS",
            hint="take a key out of ADMIN_SSH_KEYS in settings.py, then `fab everything users.sync`",
        )
    if not agreed(f"{name} gets in no more at {', '.join(server.name for server in servers)}. Go on?", yes):
        raise UsageError("Nobody was removed")
    line = path.read_text(encoding="utf-8")
    path.unlink()
    try:
        held_keys(here.settings)
    except BaseException:
        path.write_text(line, encoding="utf-8")  # it was the only one by which you get in
        raise
    _sync(servers, here)
    print(f"{name} is kept out of {', '.join(server.name for server in servers)}")


@task(name="list")
def list_(_: Context) -> None:
    """Whose keys get in, and where: `fab everything users.list`. Says also which are on servers and should not be."""
    from deploymachine import adminkeys
    from deploymachine.contrib._servers import on_servers
    from deploymachine.remote import Order

    here = deployment()
    path = f"/home/{here.settings.DEPLOY_USERNAME}/.ssh/authorized_keys"
    told = on_servers(selected(here.inventory), Order(["cat", path], "root"), here, quiet=True)
    on = {name: {" ".join(line.split()[:2]): line for line in text.splitlines()} for name, text in told.items()}
    rows = []
    wanted = {" ".join(line.split()[:2]): (line, where) for line, where in adminkeys.named(here.settings)}
    for blob, (line, where) in wanted.items():
        there = [name for name, keys in on.items() if blob in keys]
        state = "everywhere" if len(there) == len(on) else ", ".join(there) or "nowhere yet: users.sync"
        rows.append([_comment(line), line.split()[0], adminkeys.fingerprint(line), where, state])
    strange = {blob: line for keys in on.values() for blob, line in keys.items() if blob not in wanted}
    for blob, line in strange.items():
        there = [name for name, keys in on.items() if blob in keys]
        rows.append([_comment(line), line.split()[0], adminkeys.fingerprint(line), "NOBODY SAYS SO", ", ".join(there)])
    print_table(("who", "kind", "fingerprint", "says", "gets in at"), rows)


def _sync(servers: Sequence[Server], here: Deployment, *, dry_run: bool = False) -> None:
    from deploymachine.cook import cook

    with reported() as shown:
        results = cook(servers, here, shown, dry_run=dry_run, recipes=RECIPES)
    if any(result.state == "pending" for result in results):
        raise Exit(code=PENDING)


def _path(name: str, here: Deployment) -> Path:
    from deploymachine import adminkeys

    if not NAME.fullmatch(name):
        raise UsageError(f"--name {name!r}: that is no name here", hint="small letters and digits: grace, grace-laptop")
    return adminkeys.folder(here.settings) / f"{name}.pub"


def _comment(line: str) -> str:
    return " ".join(line.split()[2:])
