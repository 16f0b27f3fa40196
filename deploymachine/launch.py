"""Servers of some types in, the same servers in production out: let in by their peers, cooked, released, answering."""

from __future__ import annotations

from collections.abc import Sequence

from deploymachine import servertypes
from deploymachine.converge import Result
from deploymachine.cook import apply, cook, on_all, sudo_password
from deploymachine.deploy import deploy
from deploymachine.errors import DeployMachineError, UsageError
from deploymachine.inventory import Server
from deploymachine.report import Report
from deploymachine.runlist import run_lists
from deploymachine.servertypes import Deployment, _database
from deploymachine.ssh import connect, login


def launch(servers: Sequence[Server], deployment: Deployment, report: Report) -> None:
    """Bring `servers` to production. Raises what went wrong; a rerun goes on where it stopped."""
    peers = doorkeepers(servers, deployment)
    # Who copies a database that is launched here can't be cooked before it: there may be nothing to copy yet.
    copies = followers(servers, deployment)
    first = [peer for peer in peers if peer not in copies]
    if peers:
        report.expect([*peers, *servers])
    if first:
        cook(first, deployment, report, phase="let in")
    tell_lognodes(servers, deployment, report)
    cook(servers, deployment, report)
    _database.settle(servers, deployment)
    if later := [peer for peer in peers if peer in copies]:
        cook(later, deployment, report, phase="let in")
    nodes = [server for server in servers if {"appnode", "tasknode"} & set(servertypes.parts(server.type))]
    if nodes:
        deploy(nodes, deployment, report)


def doorkeepers(servers: Sequence[Server], deployment: Deployment) -> list[Server]:
    """The servers outside this launch that must let these in first: an appnode's dbservers."""
    wanted = {other for server in servers for other in servertypes.lets_in(server.type)}
    others = (peer for peer in deployment.inventory if peer not in servers)
    return [peer for peer in others if wanted & set(servertypes.parts(peer.type))]


def followers(servers: Sequence[Server], deployment: Deployment) -> list[Server]:
    """The servers outside this launch that copy the databases of one inside."""
    if _database.primary(deployment) not in servers:
        return []
    return [server for server in deployment.inventory.serving("dbserver") if server not in servers]


def tell_lognodes(servers: Sequence[Server], deployment: Deployment, report: Report) -> None:
    """Have the other lognodes take in these servers' logs; where one can't be told now, they wait."""
    lognodes = [node for node in deployment.inventory.serving("lognode") if node not in servers]

    def one(node: Server) -> Result:
        report.phase(node, "let in")
        try:
            wanted = run_lists([node], deployment)[node.name]
            with connect(node, login(node, deployment.settings), deployment.settings) as connection:
                return apply(connection, wanted, report, sudo_password(node, deployment))
        except UsageError:
            raise
        except DeployMachineError as error:
            return Result("skipped", note=f"{error.what}; `fab kokki:lognode` makes it take in these servers' logs")

    if lognodes:
        on_all(lognodes, report, one)
