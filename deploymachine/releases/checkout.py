"""A site and servers in, another commit of it live on all of them out; programs are on it when they were restarted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from deploymachine.deploy import KEEP, build, source_of
from deploymachine.inventory import Server
from deploymachine.releases.crew import Crew
from deploymachine.releases.locks import held
from deploymachine.releases.values import Options, Released, fingerprint, live, named
from deploymachine.report import Report
from deploymachine.servertypes import Deployment


def check_out(
    site: str, ref: str | None, servers: Sequence[Server], deployment: Deployment, report: Report
) -> Released:
    """Build the commit on `servers` as a release does, and make it the live one; nothing is migrated or restarted.

    Raises what kept a server from it; where one can't build it, none has it live.
    """
    source = source_of(site, ref, None, deployment)
    with Crew(deployment, report, servers) as crew, held(crew.job(site), "checkout", Options()) as run:
        job, states = run.job, run.states
        release = named(source, fingerprint(job.attributes(job.servers[0])), states.values(), job.now())
        run.about.update(release=release.name, sha=release.sha, ref=release.ref)
        names = tuple(server.name for server in job.servers)
        if all(live(state) == release.name for state in states.values()):
            return crew.note(Released(site, release.name, False, servers=names), source.note)
        build(run, release, source)
        job.everywhere(lambda server: job.ask(server, "adopt", release=asdict(release)))
        run.switched |= set(names)  # their own logs tell of it
        run.ending["keep"] = KEEP
        return crew.note(Released(site, release.name, True, servers=names), source.note)
