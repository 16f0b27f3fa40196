"""The code of a site on its servers: which commit, what was changed by hand, another one, the key to fetch it."""

from __future__ import annotations

from invoke.context import Context

from deploymachine.contrib._release import asked, show
from deploymachine.contrib._site import SITE, place
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, task
from deploymachine.tasks._prompt import agreed


@task(help=SITE)
def pull(_: Context, site: str = "") -> None:
    """Bring the branch's newest commit to the selected servers: `fab appnode git.pull --site blog`.

    Builds it beside what runs, as a deploy does, and makes it the live one; what runs goes on with the former until
    supervisor.restart, and django.migrate is yours to say: all three may follow each other on one line. `fab appnode
    deploy` does all of it, and proves it.
    """
    _check_out(site, None)


@task(help={**SITE, "ref": "a branch, tag or commit"})
def checkout(_: Context, ref: str, site: str = "") -> None:
    """As git.pull, for any commit: `fab appnode git.checkout --ref v1.2 --site blog`.

    Changes what is live on the selected servers; it runs after supervisor.restart.
    """
    if not ref.strip():
        raise UsageError("--ref is empty", hint="name a branch, tag or commit")
    _check_out(site, ref)


@task(help={**SITE, "count": "how many commits"})
def log(_: Context, site: str = "", count: int = 10) -> None:
    """Show the commits up to the live one: `fab appnode git.log --site blog --count 5`. Changes nothing."""
    if count < 1:
        raise UsageError("--count is a number of commits from 1 on", why=f"it is {count}")
    for server, told in asked("code", site, count=count)[1]:
        show(server, told["log"])


@task(help=SITE)
def status(_: Context, site: str = "") -> None:
    """Show each server's live commit, and files that somebody changed there: `fab appnode git.status --site blog`.

    Changes nothing.
    """
    for server, told in asked("code", site)[1]:
        release = told["release"]
        waits = "" if told["settled"] else ", which may wait for supervisor.restart"
        ref = f" of {release['ref']}" if release["ref"] not in ("", release["sha"]) else ""
        show(server, [f"{release['sha'][:8]}{ref}, release {release['name']}{waits}"])
        show(server, [f"  changed by hand: {line.expandtabs(2)}" for line in told["changed_files"]])


@task(
    help={
        "site": SITE["site"],
        "rotate": "make another key; the former one must then be taken away where the repository is kept",
        "yes": "do not ask",
    }
)
def deploy_key(_: Context, site: str = "", rotate: bool = False, yes: bool = False) -> None:
    """Print the key by which servers fetch a site's code: `fab git.deploy_key --site blog`. Made on first use.

    Give it to whoever keeps the repository, to let it read; then "fetch": "deploy-key" in SITES. The private half stays
    among the secrets, and is lent to servers for as long as a git takes. --rotate asks first.
    """
    from deploymachine import deploy_keys
    from deploymachine.site_names import chosen

    here = deployment()
    name = chosen(site, here.settings.SITES)
    if rotate:
        question = f"Servers can't fetch {name} any more until the new key is let in where it is kept. Make another?"
        if not agreed(question, yes):
            return
        deploy_keys.replace(name, here.secrets)
    print(deploy_keys.deploy_key(name, here.settings.DEPLOYMENT, here.secrets).public)


def _check_out(site: str, ref: str | None) -> None:
    from deploymachine.releases.checkout import check_out
    from deploymachine.tasks._report import reported

    there = place(site)
    with reported() as shown:
        check_out(there.site, ref, there.servers, there.here, shown)
