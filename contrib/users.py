"""Who may log in to the servers."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from deploymachine.tasks import deployment, reported, selected, task

RECIPES = ("base.users",)
PENDING = 2


@task(help={"dry_run": "show what would change (exit code 2 if something would), change nothing"})
def sync(_: Context, dry_run: bool = False) -> None:
    """Let in exactly the keys of ADMIN_SSH_KEYS: `fab everything users.sync`, after an admin has come or gone.

    Changes the deploy user, its keys and its sudo on the selected servers, nothing else. Keys that are not in the list
    are removed. Where your own key would not get in any more, the server puts back what it had.
    """
    from deploymachine.cook import cook

    here = deployment()
    servers = selected(here.inventory)
    with reported() as shown:
        results = cook(servers, here, shown, dry_run=dry_run, recipes=RECIPES)
    if any(result.state == "pending" for result in results):
        raise Exit(code=PENDING)
