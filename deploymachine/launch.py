"""Servers of some types in, the same servers in production out: let in by their peers, cooked, released, answering."""

from __future__ import annotations

from collections.abc import Sequence

from deploymachine import servertypes
from deploymachine.cook import cook
from deploymachine.deploy import deploy
from deploymachine.inventory import Server
from deploymachine.report import Report
from deploymachine.servertypes import Deployment


def launch(servers: Sequence[Server], deployment: Deployment, report: Report) -> None:
    """Bring `servers` to production. Raises what went wrong; a rerun goes on where it stopped."""
    peers = _doorkeepers(servers, deployment)
    if peers:
        report.expect([*peers, *servers])
        cook(peers, deployment, report, phase="let in")
    cook(servers, deployment, report)
    nodes = [server for server in servers if "appnode" in servertypes.parts(server.type)]
    if nodes:
        deploy(nodes, deployment, report)


def _doorkeepers(servers: Sequence[Server], deployment: Deployment) -> list[Server]:
    """The servers outside this launch that must let these in first: an appnode's dbservers."""
    wanted = {other for server in servers for other in servertypes.lets_in(server.type)}
    others = (peer for peer in deployment.inventory if peer not in servers)
    return [peer for peer in others if wanted & set(servertypes.parts(peer.type))]
