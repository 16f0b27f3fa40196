"""A source (URL or bundle) and a commit in, that commit's files in a release directory out."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Mapping, Optional

from release.tools import Tools
from release.values import Failure, Release, Site

# Nobody sits at this terminal: git must fail rather than ask.
GIT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
# A key that is lent for one command comes on stdin and is in its agent, in no file; the agent ends with it.
LENT = ("ssh-agent", "sh", "-c", 'ssh-add -q - && exec "$@" </dev/null', "sh")
SSH = "ssh -F none -o BatchMode=yes -o IdentityFile=none -o StrictHostKeyChecking=yes"
KEPT = "refs/deploymachine/"
EVERYTHING = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def known_shas(site: Site, tools: Tools) -> List[str]:
    """The commits at the tips of the site's repository on this server."""
    if not (site.repository / "HEAD").is_file():
        return []
    arguments = ["for-each-ref", "--sort=-creatordate", "--count=200", "--format=%(objectname) %(*objectname)"]
    return sorted(set(_git(site, tools, arguments, what="The repository on this server can't be read").split()))


def has(site: Site, tools: Tools, sha: str) -> bool:
    """Whether the commit, with everything below it, is in the site's repository on this server."""
    if not (site.repository / "HEAD").is_file():
        return False
    try:
        _git(site, tools, ["rev-list", "--quiet", "--max-count=1", "--objects", sha, "--"], what="absent")
    except Failure:
        return False
    return True


def fetch(site: Site, tools: Tools, release: Release, source: Mapping[str, Any], bundle: Optional[BinaryIO]) -> None:
    """Get the release's commit into the site's repository. Raises Failure with git's own words."""
    _initialise(site, tools, release.sha)
    if source.get("kind") == "bundle":
        if bundle is None:
            raise Failure(f"Commit {release.sha[:8]} is neither on this server nor sent to it", hint="deploy again")
        _fetch_bundle(site, tools, source, bundle)
    else:
        _fetch_url(site, tools, release, source)
    if not has(site, tools, release.sha):
        raise Failure(
            f"The repository holds no commit {release.sha}",
            where=str(source.get("url", "")),
            why=f"{release.ref or 'the branch'} was rewritten since it was looked up, or the repository is another one",
            hint="deploy again",
        )


def keep(site: Site, tools: Tools, release: Release) -> None:
    """Hold the release's commit in the repository, whatever happens to its branch."""
    _git(site, tools, ["update-ref", KEPT + release.name, release.sha], what="The commit can't be kept")


def forget(site: Site, tools: Tools, name: str) -> None:
    """Let go of a removed release's commit."""
    if (site.repository / "HEAD").is_file():
        _git(site, tools, ["update-ref", "-d", KEPT + name], what="The commit can't be let go")


def export(site: Site, tools: Tools, release: Release) -> None:
    """Write the files of the release's commit into its directory."""
    path = site.release(release.name)
    index = {"GIT_INDEX_FILE": str(site.repository / f"index-{release.name}")}
    what = f"Commit {release.sha[:8]} can't be written out"
    try:
        _git(site, tools, ["read-tree", release.sha], what=what, env=index)
        checkout = [f"--work-tree={path}", "checkout-index", "--all", "--force"]
        _git(site, tools, checkout, what=what, env=index, cwd=path)
    finally:
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)


def ask(site: Site, tools: Tools, arguments: List[str]) -> List[str]:
    """What git says of the site's repository on this server, line by line."""
    return _git(site, tools, arguments, what="The repository on this server can't be read").splitlines()


def changed(site: Site, tools: Tools, release: Release) -> List[str]:
    """Files of the release that are not as they were committed ("M<tab>app.py"), whatever a build has added."""
    path = site.release(release.name)
    index = {"GIT_INDEX_FILE": str(site.repository / f"index-{release.name}")}
    what = "The release can't be compared with its commit"
    tree = f"--work-tree={path}"
    try:
        _git(site, tools, ["read-tree", release.sha], what=what, env=index)
        _git(site, tools, [tree, "update-index", "-q", "--refresh"], what=what, env=index, cwd=path)
        return _git(site, tools, [tree, "diff-files", "--name-status"], what=what, env=index, cwd=path).splitlines()
    finally:
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)


def _initialise(site: Site, tools: Tools, sha: str) -> None:
    if not (site.repository / "HEAD").is_file():
        object_format = "sha256" if len(sha) == 64 else "sha1"
        argv = ["git", "init", "--quiet", "--bare", f"--object-format={object_format}", str(site.repository)]
        tools.run(argv, cwd=site.root, env=GIT, what="No repository can be made for the site")


def _fetch_url(site: Site, tools: Tools, release: Release, source: Mapping[str, Any]) -> None:
    url, key = str(source.get("url", "")), source.get("key")
    lent: Dict[str, Any] = {}
    if key is not None:
        hosts = site.repository / "known_hosts"
        hosts.write_text(str(source.get("known_hosts", "")), encoding="utf-8")
        lent = {
            "key": key["$secret"],
            "env": {"GIT_SSH_COMMAND": f"{SSH} -o UserKnownHostsFile={shlex.quote(str(hosts))}"},
        }
    what = f"The repository of {site.name} can't be fetched"
    hint = "check the site's repository in settings.py, and that this server reaches it"
    _git(site, tools, ["fetch", "--quiet", "--force", "--prune", "--", url, *EVERYTHING], what=what, hint=hint, **lent)
    if not has(site, tools, release.sha):  # a commit that no branch or tag leads to
        _git(site, tools, ["fetch", "--quiet", "--", url, release.sha], what=what, hint=hint, **lent)


def _fetch_bundle(site: Site, tools: Tools, source: Mapping[str, Any], bundle: BinaryIO) -> None:
    # The bytes were received by root: the site's user gets a copy that it may read.
    path = site.repository / "incoming.bundle"
    digest = hashlib.sha256()
    try:
        with path.open("wb") as file:
            while chunk := bundle.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != source.get("sha256"):
            raise Failure("What was pushed arrived damaged", hint="deploy again")
        refspec = "+refs/deploymachine/*:refs/deploymachine/incoming/*"
        what = f"What was pushed for {site.name} can't be read"
        _git(site, tools, ["fetch", "--quiet", "--force", "--", str(path), refspec], what=what)
    finally:
        path.unlink(missing_ok=True)


def _git(
    site: Site,
    tools: Tools,
    arguments: List[str],
    *,
    what: str,
    hint: str = "",
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    key: Optional[str] = None,
) -> str:
    argv = [*(LENT if key is not None else ()), "git", f"--git-dir={site.repository}", *arguments]
    return tools.run(argv, cwd=cwd or site.root, env={**GIT, **(env or {})}, what=what, hint=hint, given=key)
