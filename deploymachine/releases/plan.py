"""A site and servers in; what a deploy would do out: commits, migrations, requirements, servers batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploymachine import source
from deploymachine.batches import batches
from deploymachine.deploy import source_of
from deploymachine.inventory import Server
from deploymachine.leading import leader, nodes
from deploymachine.releases.looking import Answer, answers, lock_told, plain, raised
from deploymachine.releases.values import live, serves
from deploymachine.servertypes import Deployment
from deploymachine.source import Source

MIGRATION = re.compile(r"(?:^|/)(?P<app>\w+)/migrations/(?P<name>(?!__init__)\w+)\.py$")
REQUIREMENTS = ("pyproject.toml", "uv.lock")
MOST = 30  # commits that are shown


@dataclass(frozen=True)
class Plan:
    """What would happen to a site. lines: for the user. pending: whether anything would."""

    site: str
    lines: tuple[str, ...]
    pending: bool


def foresee(
    site: str, ref: str | None, servers: Sequence[Server], deployment: Deployment, sizes: Sequence[int | str]
) -> Plan:
    """What `deploy` would do now. Raises what would keep it from beginning."""
    able = nodes(site, servers, deployment)
    wanted = source_of(site, ref, None if ref else leader(site, servers, deployment), deployment)
    found = answers([site], able, deployment, "state")
    raised(found)
    there = {answer.server.name: answer for answer in found}
    lines = [f"{site}: {wanted.ref} {wanted.sha[:8]} from {wanted.url}", *([wanted.note] if wanted.note else [])]
    behind = [answer for answer in found if not _serves(answer, wanted.sha)]
    for sha in sorted({_live_sha(answer) for answer in behind}):
        names = ", ".join(answer.server.name for answer in behind if _live_sha(answer) == sha)
        lines += _changes(site, wanted, sha, names, deployment)
    for number, batch in enumerate(batches(able, sizes), 1):
        each = (f"{server.name} ({'as it is' if there[server.name] not in behind else 'switched'})" for server in batch)
        lines.append(f"batch {number}: {', '.join(each)}")
    locks = ((answer.server.name, lock) for answer in found if (lock := answer.told.get("lock")))
    locked = (f"{name}: locked: {' '.join(lock_told(lock))}" for name, lock in locks)
    return Plan(site, (*lines, *locked), bool(behind))


def _serves(answer: Answer, sha: str) -> bool:
    return _live_sha(answer) == sha and serves(answer.told, live(answer.told))


def _live_sha(answer: Answer) -> str:
    return str((answer.told.get("current") or {}).get("sha", ""))


def _changes(site: str, wanted: Source, sha: str, names: str, deployment: Deployment) -> Iterator[str]:
    if not sha:
        yield f"the first release on {names}: all of it, with every migration"
        return
    if sha == wanted.sha:
        yield f"{names}: the same commit again; it is not what is served, or does not answer"
        return
    changes = source.between(wanted, sha, site=site, deployment=deployment.settings)
    if changes is None:
        yield f"{names}: {sha[:8]}, which is not in that repository, is served now"
        return
    commits, files = changes
    count = f"{len(commits)} commit{'' if len(commits) == 1 else 's'}"
    yield f"{names}: {sha[:8]} -> {wanted.sha[:8]}, {count} to come"
    yield from (f"    {plain(line)}" for line in commits[:MOST])
    migrations = sorted(f"{found['app']}.{found['name']}" for file in files if (found := MIGRATION.search(file)))
    described = deployment.settings.SITES[site]
    known = (described.requirements, *REQUIREMENTS)
    requirements = [file for file in files if file.rpartition("/")[2] in {name.rpartition("/")[2] for name in known}]
    yield f"    migrations: {', '.join(migrations) or 'none changed'}"
    told = f"{', '.join(requirements)} changed: a new virtualenv" if requirements else "as they are"
    yield f"    requirements: {told}"
