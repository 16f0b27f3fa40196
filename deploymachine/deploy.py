"""Servers and sites in, every server serving the same commit out; or, where one fails, what they served before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deploymachine.deploy_keys import deploy_key
from deploymachine.errors import DeployMachineError, ReleaseError
from deploymachine.inventory import Server
from deploymachine.leading import beside, leader, nodes
from deploymachine.releases import wheels
from deploymachine.releases.crew import Crew
from deploymachine.releases.job import Job, explained
from deploymachine.releases.locks import Held, held
from deploymachine.releases.switching import Switch
from deploymachine.releases.values import Options, Release, Released, State, fingerprint, named, serves
from deploymachine.report import Report
from deploymachine.servertypes import Deployment
from deploymachine.site_names import known
from deploymachine.source import Source, bundle, resolve

KEEP = 5  # releases on each server, and those that are live or would be gone back to besides


def deploy(
    servers: Sequence[Server],
    deployment: Deployment,
    report: Report,
    *,
    sites: Sequence[str] | None = None,
    ref: str | None = None,
    options: Options | None = None,
) -> list[Released]:
    """Release the named sites (all where None) on `servers`. Raises ReleaseError; what served before then serves on."""
    names = [name for name in chosen(sites, deployment) if nodes(name, servers, deployment)]
    leads = {name: None if ref else leader(name, servers, deployment) for name in names}
    others = {name: beside(name, servers, deployment) for name in names}
    sources = {name: source_of(name, ref, leads[name], deployment) for name in names}
    wanted = options or Options(batches=deployment.settings.BATCH)
    with Crew(deployment, report, servers) as crew:

        def release(job: Job) -> Released:
            return release_site(job, sources[job.site], leads[job.site], wanted, others[job.site])

        return [_told(crew, name, sources[name].note, wanted, release) for name in names]


def rollback(
    servers: Sequence[Server],
    deployment: Deployment,
    report: Report,
    *,
    sites: Sequence[str] | None = None,
    to: str | None = None,
    options: Options | None = None,
) -> list[Released]:
    """Bring the named sites back to the release that was live before, or to the release `to`. Raises ReleaseError."""
    names = [name for name in chosen(sites, deployment) if nodes(name, servers, deployment)]
    wanted = options or Options(batches=deployment.settings.BATCH)
    with Crew(deployment, report, servers) as crew:
        return [_told(crew, name, "", wanted, lambda job: roll_back_site(job, to, wanted)) for name in names]


def _told(crew: Crew, site: str, note: str, options: Options, work: Callable[[Job], Released]) -> Released:
    """Do it, and have whoever wants to know hear how it ended."""
    job, began = crew.job(site), time.monotonic()
    servers = tuple(server.name for server in job.servers)
    try:
        released = work(job)
    except DeployMachineError as error:
        why = ": ".join(" ".join(text.split()) for text in (error.what, error.why) if text)
        options.ended(site, "", servers, why, time.monotonic() - began)
        raise
    if released.changed:
        options.ended(site, released.release, servers, "", time.monotonic() - began)
    return crew.note(released, note)


def release_site(
    job: Job,
    source: Source,
    lead: State | None = None,
    options: Options | None = None,
    others: Sequence[State] = (),
) -> Released:
    """Lock, look, build everywhere, migrate once, switch few before many, each proven, prune, unlock.

    lead: what a server outside this run serves and these follow: named as it is there, where it was migrated, too.
    others: what appnodes outside this run have: the same commit has the same name there, so that all can go back to it.
    """
    wanted = options or Options()
    with held(job, "deploy", wanted) as run:
        states = run.states
        mark = fingerprint(job.attributes(job.servers[0]))
        release = named(source, mark, [*states.values(), *([lead] if lead else []), *others], job.now())
        run.about.update(release=release.name, sha=release.sha, ref=release.ref)
        names = tuple(server.name for server in job.servers)
        if all(serves(state, release.name) for state in states.values()):
            return Released(job.site, release.name, changed=False, servers=names, note="; ".join(run.notes))
        wanted.hook("before_deploy", job.site, release, names)
        pending = build(run, release, source)
        migrated, verdict = _migrate(run, release, wanted.migrate_timeout) if lead is None and pending else ((), "")
        stay = [f"the migrations stay applied: {', '.join(migrated)}", verdict] if migrated else []
        way = Switch(run, release.name, "switch", {"release": asdict(release)}, stay, wanted.go_on)
        way.go(wanted.batches)
        run.ending["keep"] = KEEP
        wanted.hook("after_deploy", job.site, release, names)
    way.raise_left_out()
    return Released(job.site, release.name, True, migrated, names, "; ".join(run.notes))


def roll_back_site(job: Job, to: str | None, options: Options | None = None) -> Released:
    """Lock, look, switch few before many to an earlier release, each proven, unlock. Migrations are not undone."""
    wanted = options or Options()
    with held(job, "rollback", wanted) as run:
        name = to or _common_predecessor(job, run.states)
        _check_there(job, name, run.states)
        run.about.update(release=name)
        names = tuple(server.name for server in job.servers)
        if all(serves(state, name) for state in run.states.values()):
            return Released(job.site, name, changed=False, servers=names, note="; ".join(run.notes))
        way = Switch(run, name, "rollback", {"to": name}, go_on=wanted.go_on)
        way.go(wanted.batches)
    way.raise_left_out()
    return Released(job.site, name, changed=True, servers=names, note="; ".join(run.notes))


def build(run: Held, release: Release, source: Source) -> bool:
    """Build on all servers at once. Returns whether a migration is pending, as far as they know."""
    # Servers that know the same commits get the same bytes, made once.
    job = run.job
    wanted = {server.name: frozenset(run.states[server.name].get("known_shas", ())) for server in job.servers}
    bundles = {known: bundle(source, known) for known in set(wanted.values())}

    def one(server: Server) -> dict[str, Any]:
        data = bundles[wanted[server.name]]
        return job.ask(server, "build", data, release=asdict(release), source=source.request(data))

    wheels.bring(run)
    try:
        answers = job.everywhere(one)
    except DeployMachineError as error:
        raise explained(error, f"{job.site} {release.sha[:8]} was not released: it can't be built", ()) from None
    wheels.gather(run, answers)
    return any(answer.get("pending", True) for answer in answers.values())


def _migrate(run: Held, release: Release, timeout: float | None) -> tuple[tuple[str, ...], str]:
    """What was applied, and whether the code that served before can live with it, in words."""
    job = run.job
    more: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    try:
        answer = job.ask(job.servers[0], "migrate", release=asdict(release), **more)
    except DeployMachineError as error:
        what = f"{job.site} {release.sha[:8]} was not released: its migrations fail"
        raise explained(error, what, ("every server goes on serving what it served",)) from None
    return tuple(answer.get("applied", ())), str(answer.get("verdict", ""))


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


def source_of(site: str, ref: str | None, lead: State | None, deployment: Deployment) -> Source:
    """The commit that was asked for, else the one that leads, else the branch's."""
    settings = deployment.settings
    described = settings.SITES[site]
    wanted = ref or (str(lead["current"]["sha"]) if lead else described.branch)
    key = deploy_key(site, settings.DEPLOYMENT, deployment.secrets) if described.fetch == "deploy-key" else None
    return resolve(
        described.repository,
        wanted,
        site=site,
        directory=settings.directory,
        state=settings.state,
        push=described.fetch == "push",
        key=key,
    )


def chosen(sites: Sequence[str] | None, deployment: Deployment) -> list[str]:
    """The names of the sites that were asked for; all where None. Raises UsageError for one that is not there."""
    there = list(deployment.settings.SITES)
    return [known(name, there) for name in sites] if sites is not None else there
