"""Servers and sites in, every server serving the same commit out; or, where one fails, what they served before."""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from deploymachine import converge, ssh
from deploymachine.converge import Result
from deploymachine.cook import checked, sudo_password
from deploymachine.errors import ConnectError, DeployMachineError, ReleaseError, SeveralErrors, UsageError
from deploymachine.inventory import Server
from deploymachine.leading import leader, nodes
from deploymachine.report import Report
from deploymachine.servertypes import Deployment, tasknode
from deploymachine.source import Source, bundle, resolve

Request = dict[str, Any]
State = Mapping[str, Any]
# Settings that another build would come out of.
BUILT_BY = ("directory", "requirements", "extras", "build_commands", "wsgi", "settings_module")


class Run(Protocol):
    """Carries out one release request on a server; returns how it ended, raises where it could not begin or was cut."""

    def __call__(self, server: Server, request: Request, attachment: bytes = b"") -> Result: ...


@dataclass(frozen=True)
class Release:
    """One release, the same on all servers. time: UTC, ISO 8601."""

    name: str
    sha: str
    ref: str
    time: str
    fingerprint: str


@dataclass(frozen=True)
class Job:
    """One site on its servers. attributes: the site as it is on one server. tell: shows a server's phase."""

    site: str
    servers: Sequence[Server]
    attributes: Callable[[Server], Mapping[str, Any]]
    run: Run
    tell: Callable[[Server, str], None] = lambda _server, _phase: None
    by: str = ""
    now: Callable[[], datetime] = field(default=lambda: datetime.now(timezone.utc))

    def ask(self, server: Server, action: str, attachment: bytes = b"", **more: Any) -> dict[str, Any]:
        """What the server answers to one action. Raises what went wrong there."""
        self.tell(server, f"{self.site}: {action}")
        return checked(self.run(server, self.request(server, action, **more), attachment)).result

    def request(self, server: Server, action: str, **more: Any) -> Request:
        site = {key: value for key, value in self.attributes(server).items() if key != "environment"}
        return {"command": "release", "action": action, "host": server.name, "by": self.by, "site": site, **more}

    def everywhere(self, work: Callable[[Server], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Server name -> what `work` returned there, on all servers at once. Raises every error that came up."""
        outcomes = ssh.on_each(self.servers, work)
        ssh.values(outcomes)
        return {outcome.server.name: outcome.value or {} for outcome in outcomes}


@dataclass(frozen=True)
class Released:
    """What came of it. changed: False where every server served that commit already."""

    site: str
    release: str
    changed: bool
    migrations: tuple[str, ...] = ()


def deploy(
    servers: Sequence[Server],
    deployment: Deployment,
    report: Report,
    *,
    sites: Sequence[str] | None = None,
    ref: str | None = None,
) -> list[Released]:
    """Release the named sites (all where None) on `servers`. Raises ReleaseError; what served before then serves on."""
    chosen = [name for name in _chosen(sites, deployment) if nodes(name, servers, deployment)]
    leads = {name: None if ref else leader(name, servers, deployment) for name in chosen}
    sources = {name: _source(name, ref, leads[name], deployment) for name in chosen}
    with Crew(deployment, report, servers) as crew:
        released = ((release_site(crew.job(name), sources[name], leads[name]), name) for name in chosen)
        return [crew.note(one, sources[name].note) for one, name in released]


def rollback(
    servers: Sequence[Server],
    deployment: Deployment,
    report: Report,
    *,
    sites: Sequence[str] | None = None,
    to: str | None = None,
) -> list[Released]:
    """Bring the named sites back to the release that was live before, or to the release `to`. Raises ReleaseError."""
    with Crew(deployment, report, servers) as crew:
        chosen = [name for name in _chosen(sites, deployment) if nodes(name, servers, deployment)]
        return [crew.note(roll_back_site(crew.job(name), to)) for name in chosen]


def release_site(job: Job, source: Source, lead: State | None = None) -> Released:
    """Look, build everywhere, migrate once, switch one server after the other, each proven, prune.

    lead: what a server outside this run serves and these follow: named as it is there, where it was migrated, too.
    """
    states = job.everywhere(lambda server: job.ask(server, "state"))
    mark = fingerprint(job.attributes(job.servers[0]))
    release = _release(source, mark, [*states.values(), *([lead] if lead else [])], job.now())
    if all(_serves(state, release) for state in states.values()):
        return Released(job.site, release.name, changed=False)
    _build(job, release, source, states)
    migrated = _migrate(job, release) if lead is None else ()
    _switch(job, release.name, states, "switch", migrated, release=asdict(release))
    with suppress(DeployMachineError):  # shown as a failed step; the release itself stands
        job.everywhere(lambda server: job.ask(server, "prune"))
    return Released(job.site, release.name, changed=True, migrations=migrated)


def roll_back_site(job: Job, to: str | None) -> Released:
    """Switch one server after the other to an earlier release, each proven."""
    states = job.everywhere(lambda server: job.ask(server, "state"))
    name = to or _common_predecessor(job, states)
    _check_there(job, name, states)
    if all(_live(state) == name and state.get("healthy") for state in states.values()):
        return Released(job.site, name, changed=False)
    _switch(job, name, states, "rollback", (), to=name)
    return Released(job.site, name, changed=True)


def fingerprint(site: Mapping[str, Any]) -> str:
    """Of the settings that decide how a commit is built: another one needs another build of the same commit."""
    text = json.dumps([site.get(key) for key in BUILT_BY])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _release(source: Source, mark: str, states: Iterable[State], now: datetime) -> Release:
    """A name for the commit: the one it has on some server already, the live one first, else a new one."""
    found: list[tuple[bool, str]] = []
    for state in states:
        same = [r for r in state.get("releases", ()) if r["sha"] == source.sha and r["fingerprint"] == mark]
        found += [(release["name"] == _live(state), release["name"]) for release in same]
    name = max(found)[1] if found else f"{now:%Y%m%dT%H%M%SZ}-{source.sha[:8]}"
    return Release(name, source.sha, source.ref, f"{now:%Y-%m-%dT%H:%M:%SZ}", mark)


def _live(state: State) -> str:
    return str((state.get("current") or {}).get("name", ""))


def _serves(state: State, release: Release) -> bool:
    return _live(state) == release.name and bool(state.get("healthy"))


def _build(job: Job, release: Release, source: Source, states: Mapping[str, State]) -> None:
    # Servers that know the same commits get the same bytes, made once.
    wanted = {server.name: frozenset(states[server.name].get("known_shas", ())) for server in job.servers}
    bundles = {known: bundle(source, known) for known in set(wanted.values())}

    def one(server: Server) -> dict[str, Any]:
        data = bundles[wanted[server.name]]
        return job.ask(server, "build", data, release=asdict(release), source=source.request(data))

    try:
        job.everywhere(one)
    except DeployMachineError as error:
        raise _explained(error, f"{job.site} {release.sha[:8]} was not released: it can't be built", ()) from None


def _migrate(job: Job, release: Release) -> tuple[str, ...]:
    try:
        answer = job.ask(job.servers[0], "migrate", release=asdict(release))
    except DeployMachineError as error:
        what = f"{job.site} {release.sha[:8]} was not released: its migrations fail"
        raise _explained(error, what, ("every server goes on serving what it served",)) from None
    return tuple(answer.get("applied", ()))


def _switch(
    job: Job, name: str, states: Mapping[str, State], action: str, migrated: tuple[str, ...], **more: Any
) -> None:
    """Switch the servers in turn; where one fails, those before it go back to what they served."""
    switched: list[Server] = []
    for server in job.servers:
        try:
            answer = job.ask(server, action, **more)
        except DeployMachineError as error:
            before = _live(states[server.name])
            told = [f"{server.name}: " + (f"went back to {before}" if before else "serves nothing, as before")]
            told += _put_back(job, switched, states)
            told += [f"the migrations stay applied: {', '.join(migrated)}"] if migrated else []
            raise _explained(error, f"{job.site} was not released: {server.name} does not serve {name}", told) from None
        if answer.get("changed"):
            switched.append(server)


def _put_back(job: Job, switched: Sequence[Server], states: Mapping[str, State]) -> list[str]:
    """Bring servers back to what they served before; one line on each."""
    told = []
    for server in switched:
        before = _live(states[server.name])
        if not before:
            told.append(f"{server.name}: serves the new release, there was none before")
            continue
        try:
            job.ask(server, "rollback", to=before)
            told.append(f"{server.name}: put back to {before}")
        except DeployMachineError as error:
            told.append(f"{server.name}: could NOT be put back to {before}: {error.why or error.what}")
    return told


def _explained(error: DeployMachineError, what: str, told: Sequence[str]) -> ReleaseError:
    if isinstance(error, SeveralErrors):
        told = [*(line for one in error.errors for line in str(one).splitlines()), *told]
        return ReleaseError(what, why=error.what, evidence=told)
    why = "\n".join(text for text in (error.what, error.why) if text)
    return ReleaseError(what, where=error.where, why=why, hint=error.hint, evidence=[*error.evidence, *told])


def _common_predecessor(job: Job, states: Mapping[str, State]) -> str:
    names = {state.get("previous") for state in states.values()}
    if len(names) == 1 and (name := names.pop()):
        return str(name)
    each = ", ".join(f"{server}: {state.get('previous') or 'none'}" for server, state in states.items())
    raise ReleaseError(
        f"There is no release of {job.site} that all servers served before",
        why=each,
        hint="name one that all of them have: `fab appnode rollback --to RELEASE`",
    )


def _check_there(job: Job, name: str, states: Mapping[str, State]) -> None:
    for server, state in states.items():
        names = [release["name"] for release in state.get("releases", ())]
        if name not in names:
            why = f"it has {', '.join(names) or 'none'}"
            raise ReleaseError(f"{server} has no release {name!r} of {job.site}", where=server, why=why)


def _source(site: str, ref: str | None, lead: State | None, deployment: Deployment) -> Source:
    """The commit that was asked for, else the one that leads, else the branch's."""
    settings = deployment.settings
    described = settings.SITES[site]
    wanted = ref or (str(lead["current"]["sha"]) if lead else described.branch)
    return resolve(described.repository, wanted, site=site, directory=settings.directory, state=settings.state)


def _chosen(sites: Sequence[str] | None, deployment: Deployment) -> list[str]:
    known = list(deployment.settings.SITES)
    unknown = [name for name in sites or () if name not in known]
    if unknown:
        raise UsageError(f"There is no site {unknown[0]!r}", why=f"settings.py has {', '.join(known) or 'none'}")
    return list(sites) if sites is not None else known


class Crew:
    """The servers of one run, each over one connection that is opened at the first request and kept to the end."""

    def __init__(self, deployment: Deployment, report: Report, servers: Sequence[Server]) -> None:
        self.deployment = deployment
        self.report = report
        self.servers = sorted(servers, key=lambda server: server.name)
        self._connections: dict[str, ssh.Connection] = {}
        self._failed: set[str] = set()
        self._notes: list[str] = []

    def __enter__(self) -> Crew:
        self.report.expect(self.servers)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for server in self.servers:
            self.report.end(server, "failed" if server.name in self._failed else "ok", "; ".join(self._notes))
        with ExitStack() as stack:
            for connection in self._connections.values():
                stack.callback(connection.close)

    def job(self, site: str) -> Job:
        by = f"{getpass.getuser()}@{socket.gethostname()}"

        def attributes(server: Server) -> Mapping[str, Any]:
            return tasknode.release_attributes(site, server, self.deployment)

        return Job(site, nodes(site, self.servers, self.deployment), attributes, self.run, self.report.phase, by)

    def note(self, released: Released, more: str = "") -> Released:
        """Have the report say what is served now."""
        self._notes += [f"{released.site} serves {released.release}", *([more] if more else [])]
        return released

    def run(self, server: Server, request: Request, attachment: bytes = b"") -> Result:
        """Carry out one request; its events are shown."""
        try:
            result = self._run(server, request, attachment)
        except DeployMachineError:
            self._failed.add(server.name)
            raise
        if not result.ok:
            self._failed.add(server.name)
        return result

    def _run(self, server: Server, request: Request, attachment: bytes) -> Result:
        settings = self.deployment.settings
        if server.name not in self._connections:
            self._connections[server.name] = ssh.connect(server, ssh.login(server, settings), settings)
        connection = self._connections[server.name]
        try:
            password = sudo_password(server, self.deployment)
            return converge.run(connection, request, self.report.event, sudo_password=password, attachment=attachment)
        except ConnectError:
            del self._connections[server.name]  # the next request, a way back perhaps, tries a new one
            connection.close()
            raise
