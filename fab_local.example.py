"""Your own tasks: copy this file to fab_local.py. They appear in `fab --list`, and may take the place of stock ones.

A stock task is a function in a module of deploymachine.contrib: call it with the context that your own is given, and
its options as arguments. What the command line selects (`fab appnode publish`) holds for all that a task calls.
"""

from datetime import date
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from deploymachine.contrib import django, git, postgresql, supervisor, system


@task
def publish(c: Context, site: str = "guestbook") -> None:
    """A site's own way to a new version, in place of `fab appnode deploy`: `fab appnode publish`."""
    git.pull(c, site=site)
    django.migrate(c, site=site)
    supervisor.restart(c, site=site)


@task
def nightly(c: Context, database: str = "guestbook") -> None:
    """Bring a database home and keep a week of them: `fab dbserver nightly`, in the crontab of this machine."""
    folder = Path("dumps")
    folder.mkdir(mode=0o700, exist_ok=True)
    today = folder / f"{database}-{date.today()}.dump"
    today.unlink(missing_ok=True)
    postgresql.pull(c, database=database, to=str(today))
    for old in sorted(folder.glob(f"{database}-*.dump"))[:-7]:
        old.unlink()


@task(help={"file": "as `fab appnode django.dumpdata` writes it"})
def demo_data(c: Context, file: str = "demo.json") -> None:
    """Fill a deployment for trying things: `fab staging appnode demo_data`."""
    django.migrate(c, site="guestbook")
    django.loaddata(c, file=file, site="guestbook")


@task(name="before_deploy.guestbook")
def announce(_: Context, release: str) -> None:
    """Called by every deploy of that site before anything is changed; whatever it raises stops the deploy."""
    print(f"guestbook: {release} is on its way")


@task(name="system.uptime")
def uptime(_: Context) -> None:
    """Since when the selected servers are up, in place of ours: `fab everything system.uptime`."""
    system.on_selected(["uptime", "--since"])
