"""Where a site's code is and what is wanted of it in, one commit out, and the bytes that bring it to a server.

What anybody may read over HTTP is fetched by the servers. What is local or private is read here, with the user's own
keys, and pushed: no server ever holds a credential.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from deploymachine.deploy_keys import DeployKey, known_hosts, lent
from deploymachine.errors import ReleaseError

if TYPE_CHECKING:
    from deploymachine.settings import Settings

FULL_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SCP_LIKE = re.compile(r"[^/:\s]+:(?!//)\S+")  # git@host:team/site.git
PUSHED = "refs/deploymachine/release"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# Where a calling git (a hook, say) keeps its own place; ours is the site's repository.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
LAST_LINES = 12


@dataclass(frozen=True)
class Source:
    """One commit. repository: the repository here that it is pushed from; None: the servers fetch `url` themselves.

    url: as shown, never with credentials. note: a word for the user ("" where there is nothing to say). key: what the
    servers fetch with.
    """

    sha: str
    ref: str
    url: str
    repository: Path | None = None
    note: str = ""
    key: DeployKey | None = None

    def request(self, attachment: bytes) -> dict[str, Any]:
        """The `source` member of a build request that travels with `attachment`."""
        if self.key is not None:
            lent = {"key": self.key.private, "known_hosts": self.key.known_hosts}
            return {"kind": "git", "url": self.url, **lent}
        if self.repository is None:
            return {"kind": "git", "url": self.url}
        return {"kind": "bundle", "size": len(attachment), "sha256": hashlib.sha256(attachment).hexdigest()}


def resolve(
    repository: str,
    ref: str,
    *,
    site: str,
    directory: Path,
    state: Path,
    push: bool = False,
    key: DeployKey | None = None,
) -> Source:
    """The commit that `ref` (a branch, tag, commit or HEAD) names in `repository` (a path or URL). Raises ReleaseError.

    directory: where relative paths start. state: where copies of private repositories are kept between two runs. push:
    whether it is pushed from here whoever may read it. key: what the servers fetch it with.
    """
    where = Place.read(repository, directory)
    if where.path is not None:
        _check_local(where.path, site, directory)
        return _local(where.path, ref, site, str(where.path))
    if key is not None:
        able = replace(key, known_hosts=known_hosts(where.url))
        return replace(_remote(where, ref, site, able), key=able)
    if where.public and not push:
        return _remote(where, ref, site)
    return _local(_mirror(where, site, state), ref, site, where.url)


def bundle(source: Source, known: Collection[str]) -> bytes:
    """A git bundle of the commit for a server that knows the commits `known`; empty where it needs none."""
    if source.repository is None or source.sha in known:
        return b""
    with tempfile.TemporaryDirectory(prefix="deploymachine-") as scratch:
        # A repository of our own that borrows the objects: any commit can be named there, the user's stays untouched.
        here = Path(scratch)
        objects = _git(source.repository, "rev-parse", "--path-format=absolute", "--git-path", "objects").strip()
        format_option = "sha256" if len(source.sha) == 64 else "sha1"
        _git(here, "init", "--quiet", "--bare", f"--object-format={format_option}", ".")
        (here / "objects" / "info" / "alternates").write_text(objects + "\n", encoding="utf-8")
        _git(here, "update-ref", PUSHED, source.sha)
        without = [f"^{sha}" for sha in _present(here, known)]
        if _git(here, "rev-list", "--max-count=1", source.sha, *without).strip() == "":
            return b""
        _git(here, "bundle", "create", "--quiet", "pushed.bundle", PUSHED, *without)
        return (here / "pushed.bundle").read_bytes()


@dataclass(frozen=True)
class Place:
    """A repository's address, read: a path here, or a URL without credentials beside the HTTP header that has them."""

    url: str
    path: Path | None = None
    public: bool = False
    authorization: str = ""

    @classmethod
    def read(cls, repository: str, directory: Path) -> Place:
        parts = urlsplit(repository)
        if parts.scheme == "file":
            return cls(repository, Path(unquote(parts.path)))
        if "://" not in repository:
            path = directory / Path(repository).expanduser()
            local = path.exists() or not SCP_LIKE.fullmatch(repository)
            return cls(repository, path) if local else cls(repository)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        host = f"{host}:{parts.port}" if parts.port else host
        if parts.scheme not in {
            "http",
            "https",
            "git",
        }:  # ssh: the user's name belongs to the address, a password does not
            host = f"{parts.username}@{host}" if parts.username else host
            return cls(urlunsplit(parts._replace(netloc=host)))
        url = urlunsplit(parts._replace(netloc=host))
        return cls(
            url, None, not parts.username and parts.hostname not in LOOPBACK, _basic(parts.username, parts.password)
        )

    def environment(self) -> dict[str, str]:
        """What tells git the credentials: its environment, since an argv can be read by everybody."""
        if not self.authorization:
            return {}
        parts = urlsplit(self.url)
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {self.authorization}",
        }


def _basic(user: str | None, password: str | None) -> str:
    if not user:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _check_local(path: Path, site: str, directory: Path) -> None:
    name_it = (
        f"name its repository in SITES[{site!r}]['repository'] of settings.py (relative paths start in {directory})"
    )
    if not path.is_dir():
        raise ReleaseError(
            f"The repository of {site} is not there", where=str(path), why="no such directory", hint=name_it
        )
    top, why = _top(path)
    if top is None:
        raise ReleaseError(
            f"{path} is not a git repository", where=f"the site {site}", why=why, hint=f"`git init` it, or {name_it}"
        )
    if top != path.resolve():
        raise ReleaseError(
            f"{path} is only a part of the repository {top}",
            where=f"the site {site}",
            hint=f"set 'repository' to {str(top)!r} and 'directory' to {str(path.resolve().relative_to(top))!r}",
        )
    if _git(path, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise ReleaseError(
            f"{path} is a shallow clone: its history can't be pushed", hint="`git fetch --unshallow` there"
        )


def _top(path: Path) -> tuple[Path | None, str]:
    """The top of the repository that holds `path` (a bare one is its own top), or None and why."""
    try:
        bare = _git(path, "rev-parse", "--is-bare-repository").strip() == "true"
        return Path(_git(path, "rev-parse", "--absolute-git-dir" if bare else "--show-toplevel").strip()).resolve(), ""
    except ReleaseError as error:
        return None, error.why or ""


def _local(repository: Path, ref: str, site: str, shown: str) -> Source:
    names = _git(repository, "for-each-ref", "--format=%(refname)").split()
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/remotes/{ref}", ref):
        sha = _commit(repository, name)
        if sha is not None:
            return Source(sha, ref, shown, repository, _uncommitted(repository))
    if not names:
        raise _empty(site, shown)
    raise _unknown(site, shown, ref, (name.split("/", 2)[2] for name in names))


def _commit(repository: Path, name: str) -> str | None:
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except ReleaseError:
        return None


def _uncommitted(repository: Path) -> str:
    if _git(repository, "rev-parse", "--is-inside-work-tree").strip() != "true":
        return ""
    changed = _git(repository, "status", "--porcelain", "--untracked-files=no").splitlines()
    return f"{len(changed)} changed files in {repository} are not committed, so not released" if changed else ""


def _remote(where: Place, ref: str, site: str, key: DeployKey | None = None) -> Source:
    lines = _asked(where, site, key).splitlines()
    found = {name: sha for sha, _, name in (line.partition("\t") for line in lines)}
    if not found:
        raise _empty(site, where.url)
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", ref):
        if name in found:
            return Source(found[name], ref, where.url)
    tips = {sha for sha in found.values() if len(ref) >= 7 and sha.startswith(ref)}
    if FULL_SHA.fullmatch(ref) or len(tips) == 1:
        return Source(tips.pop() if tips else ref, ref, where.url)
    names = [
        name.split("/", 2)[2] for name in found if name.startswith(("refs/heads/", "refs/tags/")) and "^" not in name
    ]
    raise _unknown(site, where.url, ref, names)


def _asked(where: Place, site: str, key: DeployKey | None = None) -> str:
    what = f"The repository of {site} can't be read"
    hint = "check SITES in settings.py, and that this machine reaches it (`git ls-remote` shows the same)"
    if key is not None:
        hint = f"have whoever keeps it let this deploy key read it: {key.public}"
    return _git(
        Path.cwd(),
        "ls-remote",
        "--",
        where.url,
        what=what,
        where=where.url,
        hint=hint,
        env=where.environment(),
        timeout=60,
        key=key,
    )


def _mirror(where: Place, site: str, state: Path, key: DeployKey | None = None) -> Path:
    """A bare copy of a private repository, brought up to date."""
    path = state / "sources" / f"{hashlib.sha256(where.url.encode()).hexdigest()[:16]}.git"
    if not (path / "HEAD").is_file():
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        _git(path, "init", "--quiet", "--bare", ".")
    _git(
        path,
        "fetch",
        "--quiet",
        "--force",
        "--prune",
        "--",
        where.url,
        "+refs/heads/*:refs/heads/*",
        "+refs/tags/*:refs/tags/*",
        what=f"The repository of {site} can't be fetched",
        where=where.url,
        hint="it is read with your own git credentials and ssh keys: `git ls-remote` of it must work in this shell",
        env=where.environment(),
        key=key,
    )
    return path


def _present(repository: Path, known: Iterable[str]) -> list[str]:
    """Those of the commits that are in the repository."""
    names = [sha for sha in known if FULL_SHA.fullmatch(sha)]
    said = _git(repository, "cat-file", "--batch-check", stdin="".join(f"{sha}\n" for sha in names))
    return [line.split()[0] for line in said.splitlines() if line.split()[1:2] == ["commit"]]


def _empty(site: str, where: str) -> ReleaseError:
    return ReleaseError(f"The repository of {site} is empty", where=where, hint="commit (and push) something first")


def _unknown(site: str, where: str, ref: str, names: Iterable[str]) -> ReleaseError:
    known = sorted(set(names))
    close = difflib.get_close_matches(ref, known, n=3, cutoff=0.5)
    return ReleaseError(
        f"The repository of {site} has no branch, tag or commit {ref!r}"
        + (f"; did you mean {close[0]!r}?" if close else ""),
        where=where,
        why=f"it has {', '.join(close or known[:8])}{', ...' if len(known) > len(close or known[:8]) else ''}",
        hint="a commit must be given in full unless a branch or tag points at it"
        if re.fullmatch("[0-9a-f]{4,39}", ref)
        else None,
    )


def _git(
    repository: Path,
    *arguments: str,
    what: str = "git refuses",
    where: str | None = None,
    hint: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 900,
    key: DeployKey | None = None,
) -> str:
    """What git prints. Raises ReleaseError with its last lines."""
    # Nobody is asked for a password half-way: a key in the agent or a credential helper answers, or it fails.
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes", "LC_ALL": "C.UTF-8"}
    environment = {**quiet, **{k: v for k, v in os.environ.items() if k not in FOREIGN}, **(env or {})}
    argv = ["git", "-C", str(repository), *arguments]
    try:
        with lent(key) as (with_key, more):
            done = subprocess.run(
                [*with_key, *argv],
                input=stdin if key is None else key.private,
                env={**environment, **more},
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
            )
    except FileNotFoundError:
        raise ReleaseError("git is not installed on this machine", hint="install it, then deploy again") from None
    except subprocess.TimeoutExpired:
        raise ReleaseError(
            what, where=where or str(repository), why=f"no answer within {timeout:g} s", hint=hint
        ) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()][-LAST_LINES:]
        why = next(
            (line for line in lines if line.startswith(("fatal:", "error:"))),
            lines[-1] if lines else f"exit code {done.returncode}",
        )
        raise ReleaseError(what, where=where or str(repository), why=why, hint=hint, evidence=lines)
    return done.stdout


def between(source: Source, since: str, *, site: str, deployment: Settings) -> tuple[list[str], list[str]] | None:
    """(what commits there are from `since` to the source's, newest first; the files that differ). None: it is unknown.

    A repository that the servers fetch themselves is copied here to look at it.
    """
    where = Place.read(deployment.SITES[site].repository, deployment.directory)
    repository = source.repository or _mirror(where, site, deployment.state, source.key)
    if not _present(repository, [since]) or not _present(repository, [source.sha]):
        return None
    commits = _git(repository, "log", "--no-color", "--format=%h %s (%an)", f"{since}..{source.sha}", "--")
    files = _git(repository, "diff", "--name-only", "--no-renames", since, source.sha, "--")
    return commits.splitlines(), files.splitlines()
