"""The Python packages of a site's live release: seen, compared with what is newest, asked about, changed by hand."""

from __future__ import annotations

import re

from invoke.context import Context

from deploymachine.contrib._release import asked, show
from deploymachine.contrib._site import SITE
from deploymachine.errors import UsageError
from deploymachine.tasks import task

REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?([=<>!~]=?[^\s;@/]+)?")
PACKAGES = {**SITE, "packages": "one, or several with spaces: 'django-extensions ipython==9.1'"}


@task(help=SITE)
def requirements(_: Context, site: str = "") -> None:
    """Install what the live release requires once more: `fab appnode pip.requirements --site blog`.

    Changes the virtualenv that the live release uses: what is missing comes back. virtualenv.rebuild makes it anew.
    """
    for server, _told in asked("pip", site, words=[])[1]:
        show(server, ["installed"])


@task(positional=["packages"], help=PACKAGES)
def install(_: Context, packages: str, site: str = "") -> None:
    """Install packages beside those of the requirements: `fab appnode pip.install ipython --site blog`.

    Changes the virtualenv that the live release and all with the same requirements use, until those change: what shall
    stay belongs into them. Programs see it when they are restarted.
    """
    _change("install", packages, site)


@task(positional=["packages"], help=PACKAGES)
def uninstall(_: Context, packages: str, site: str = "") -> None:
    """Remove packages again: `fab appnode pip.uninstall ipython --site blog`.

    Changes the same as pip.install; pip.requirements brings back what the release requires.
    """
    _change("uninstall", packages, site)


@task(name="list", help=SITE)
def list_(_: Context, site: str = "") -> None:
    """Show the packages of the live release: `fab appnode pip.list --site blog`. Changes nothing."""
    _show(["list"], site)


@task(help=SITE)
def outdated(_: Context, site: str = "") -> None:
    """Show those that are newer in the package index: `fab appnode pip.outdated --site blog`. Changes nothing."""
    _show(["list", "--outdated"], site)


@task(help=SITE)
def audit(_: Context, site: str = "") -> None:
    """Ask pip-audit for known vulnerabilities: `fab appnode pip.audit --site blog`. Exit code 1 if there are any.

    uv fetches pip-audit for that moment, beside the site's own packages. Changes nothing.
    """
    for server, told in asked("audit_packages", site)[1]:
        show(server, told["output"])


def _change(word: str, packages: str, site: str) -> None:
    wanted = packages.split()
    wrong = [one for one in wanted if not REQUIREMENT.fullmatch(one)]
    if wrong or not wanted:
        raise UsageError(
            f"{wrong[0]!r} is not the name of a package" if wrong else "Which packages?",
            hint="as in `pip.install 'django-extensions ipython==9.1'`; what is in no index belongs into requirements",
        )
    for server, told in asked("pip", site, words=[word, *wanted])[1]:
        show(server, [*told["output"], f"{word}ed {' '.join(wanted)}"])


def _show(words: list[str], site: str) -> None:
    for server, told in asked("pip", site, words=words)[1]:
        show(server, told["output"] or ["nothing"])
