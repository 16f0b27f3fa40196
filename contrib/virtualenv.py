"""The virtualenvs of a site: shared by the releases with the same requirements, built by deploys, here by hand."""

from __future__ import annotations

from invoke.context import Context

from deploymachine.contrib._release import asked, show
from deploymachine.contrib._site import SITE
from deploymachine.tasks import task


@task(help=SITE)
def build(_: Context, site: str = "") -> None:
    """Build the live release's virtualenv where it is gone: `fab appnode virtualenv.build --site blog`.

    Changes nothing where it is whole.
    """
    _made(site, anew=False)


@task(help=SITE)
def rebuild(_: Context, site: str = "") -> None:
    """Build the live release's virtualenv anew: `fab appnode virtualenv.rebuild --site blog`.

    The new one is made beside the old and takes its place, for all releases that share it; programs use it after
    supervisor.restart. virtualenv.prune removes the old one then.
    """
    _made(site, anew=True)


@task(help=SITE)
def prune(_: Context, site: str = "") -> None:
    """Remove the virtualenvs that no release uses: `fab appnode virtualenv.prune --site blog`. Deploys do so, too.

    Restart programs first whose virtualenv was rebuilt.
    """
    for server, told in asked("prune_virtualenvs", site)[1]:
        show(server, [f"removed {', '.join(told['removed_venvs'])}" if told["removed_venvs"] else "none was left over"])


def _made(site: str, *, anew: bool) -> None:
    for server, told in asked("virtualenv", site, anew=anew)[1]:
        show(server, [f"{told['virtualenv']} " + ("was built" if told["changed"] else "is whole")])
