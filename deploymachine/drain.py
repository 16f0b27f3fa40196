"""Servers that are to go in; out come balancers that send them nothing any more, and peers that do not mention them.

A balancer's nginx is cooked as if the servers were gone already: it takes its new upstreams gracefully: its old workers
finish the requests they have begun. What is waited for is the end of those, seen on the balancer itself: no
worker of before the reload still takes requests, and no connection to the servers is open. What else a balancer does
goes on for them: a database on it lets them in until they are forgotten.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from deploymachine import servertypes, ssh
from deploymachine.converge import Event, Result
from deploymachine.cook import carry_out, on_all, proof, sudo_password
from deploymachine.errors import ConnectError, DeployMachineError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.report import Report
from deploymachine.runlist import RunList, only, run_lists
from deploymachine.servertypes import Deployment

PATIENCE = 60.0  # seconds that requests begun before may take: nginx itself waits that long for an appnode's answer
POLL = 0.2
# Every process may read these files; an old worker's command line says that it is shutting down.
LOOK = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; grep -aH '^nginx: worker' /proc/[0-9]*/cmdline 2>/dev/null; true"
PLAIN_WORKER = "nginx: worker process"
OPEN = {"01", "02"}  # ESTABLISHED and SYN_SENT, as the kernel numbers them
Endpoint = tuple[str, int]


@dataclass(frozen=True)
class Leaving:
    """Servers on their way out. seconds: how long balancers may take to end what they have begun.

    force: a peer that can't be reached or cooked is told of in the notes, not raised. handing: they are still at work.
    """

    servers: Sequence[Server]
    deployment: Deployment
    report: Report
    seconds: float = PATIENCE
    force: bool = False
    handing: bool = False

    @property
    def after(self) -> Deployment:
        """The deployment as it will be without them; while they hand over, with them, but led by others."""
        gone = frozenset(server.name for server in self.servers)
        if self.handing:
            return replace(self.deployment, leaving=gone)
        stay = Inventory(server for server in self.deployment.inventory if server.name not in gone)
        return replace(self.deployment, inventory=stay)

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        """Where the balancers reach the sites on them."""
        ports = [site.port for site in self.deployment.settings.SITES.values()]
        nodes = [server for server in self.servers if "appnode" in servertypes.parts(server.type)]
        return frozenset((server.private_ip, port) for server in nodes for port in ports if server.private_ip)


def drain(leaving: Leaving) -> list[str]:
    """Have every balancer send its visitors elsewhere, and wait until it has. Returns notes for the user.

    Raises what went wrong (nothing has been taken away from anybody then), unless `force`.
    """
    if not leaving.endpoints:
        return []
    after = leaving.after
    return _each(leaving, after.inventory.serving("loadbalancer"), _drain_one, "may still send it visitors")


def forget(leaving: Leaving) -> list[str]:
    """Have every other server know only those that stay: pg_hba.conf, firewalls, /etc/hosts. Returns notes."""
    return _each(leaving, leaving.after.inventory, _cook_one, "still mentions it")


def take_over(leaving: Leaving, servers: Sequence[Server]) -> list[str]:
    """Have those servers take over, or ask, whoever leads when `leaving` don't, who are still let in. Returns notes."""
    return _each(replace(leaving, handing=True), servers, _cook_one, "has not taken over what they lead in")


def back_in(servers: Sequence[Server], deployment: Deployment, report: Report) -> list[str]:
    """Have every balancer know all servers again. Raises what went wrong after all were tried."""
    balancers = [one for one in deployment.inventory.serving("loadbalancer") if one not in servers]
    return _each(Leaving((), deployment, report), balancers, _cook_one, "does not send them visitors yet")


Work = Callable[[Leaving, ssh.Connection, RunList], Result]


def _each(leaving: Leaving, servers: Iterable[Server], work: Work, otherwise: str) -> list[str]:
    """Do `work` on those of `servers` that can be worked on; the notes say which were not, and why."""
    servers = list(servers)
    ready, notes = _ready(leaving, servers)
    lists, more = _lists(leaving, ready)

    def one(server: Server) -> Result:
        settings = leaving.deployment.settings
        with ssh.connect(server, ssh.login(server, settings), settings) as connection:
            return work(leaving, connection, lists[server.name])

    found: list[str] = []

    def noted(server: Server) -> Result:
        try:
            result = one(server)
        except DeployMachineError as error:
            if not leaving.force:
                raise
            found.append(f"{server.name} {otherwise}: {error.what}")
            return Result("skipped", note=error.what)
        found.extend([f"{server.name}: {result.note}"] if result.note else [])
        return result

    on_all([server for server in ready if server.name in lists], leaving.report, noted)
    return [*notes, *more, *found]


def _ready(leaving: Leaving, servers: Sequence[Server]) -> tuple[list[Server], list[str]]:
    """Those that can be cooked. A server that is not provisioned, or off, mentions nobody that matters now."""
    from deploymachine.cloud.banner import answering_port

    def state(server: Server) -> str:
        port = ssh.login(server, leaving.deployment.settings).port
        if server.state != "ACTIVE":
            return server.state
        answering = answering_port(server.address, (port, 22))
        if answering != port and server.id and answering_port(server.address, (port,)) is None:
            return "bare" if answering == 22 else "silent"
        return "ready"

    states = {outcome.server.name: outcome.value for outcome in ssh.on_each(servers, state)}
    silent = [server for server in servers if states[server.name] == "silent"]
    if silent and not leaving.force:
        raise _unreachable(silent[0])
    off = [f"{s.name} is {states[s.name]}: cook it when it is back" for s in servers if _is_off(states[s.name])]
    return [server for server in servers if states[server.name] == "ready"], [
        *off,
        *(f"{server.name} does not answer: cook it when it is back" for server in silent),
    ]


def _is_off(state: str | None) -> bool:
    return state not in ("ready", "bare", "silent", "BUILD")


def _unreachable(server: Server) -> ConnectError:
    return ConnectError(
        f"{server.name} does not answer, so it can't be told who goes",
        where=server.where,
        why="as a balancer it would go on sending visitors to a server that is gone, as a database go on letting it in",
        hint="mend it first (`fab openstack_list` shows its state), or say --force and cook it when it is back",
    )


def _lists(leaving: Leaving, servers: Sequence[Server]) -> tuple[dict[str, RunList], list[str]]:
    """The run lists without those who leave; a server that can't be without them is left alone: its database goes."""
    lists: dict[str, RunList] = {}
    notes: list[str] = []
    for server in servers:
        try:
            lists.update(run_lists([server], leaving.after))
        except UsageError as error:
            notes.append(f"{server.name} stays as it is: {error.why or error.what}")
    return lists, notes


def _cook_one(leaving: Leaving, connection: ssh.Connection, wanted: RunList) -> Result:
    leaving.report.phase(connection.server, "cook")
    return _cook(leaving, connection, wanted, lambda _event: None)


def _drain_one(leaving: Leaving, connection: ssh.Connection, wanted: RunList) -> Result:
    """Cook one balancer and wait until it has let go of those who leave."""
    server, reloads = connection.server, set[str]()

    def watch(event: Event) -> None:
        if (event.get("type"), event.get("name"), event.get("state")) == ("Service", "nginx", "changed"):
            reloads.update(str(event.get("action", "")).split(", "))

    leaving.report.phase(server, "drain")
    before = look(connection).workers
    balancing = only("loadbalancer", wanted, leaving.deployment.settings)
    result = _cook(leaving, connection, balancing, watch)
    old = before if "reload" in reloads else frozenset[str]()
    leaving.report.phase(server, "let go")
    left = _until_let_go(leaving, connection, old)
    return replace(result, note=left)


def _cook(leaving: Leaving, connection: ssh.Connection, wanted: RunList, watch: Callable[[Event], None]) -> Result:
    def show(server: Server, event: Event) -> None:
        watch(event)
        leaving.report.event(server, event)

    password = sudo_password(connection.server, leaving.deployment)
    return carry_out(connection, wanted, show, password, prove=proof(connection, password))


def _until_let_go(leaving: Leaving, connection: ssh.Connection, old: frozenset[str]) -> str:
    """Wait until no old worker takes requests and no connection to the leaving is open. A note where time ran out."""
    deadline = time.monotonic() + leaving.seconds
    while True:
        seen = look(connection)
        held = seen.connections & leaving.endpoints
        if not held and not old & seen.workers:
            return ""
        if time.monotonic() >= deadline:
            names = {server.private_ip: server.name for server in leaving.servers}
            told = ", ".join(sorted({names[address] for address, _ in held})) or "an old worker of nginx"
            return f"requests to {told} did not end within {leaving.seconds:.0f} s; they end with the server"
        time.sleep(POLL)


@dataclass(frozen=True)
class Look:
    """One look at a balancer. workers: process ids that take requests. connections: where open connections lead."""

    workers: frozenset[str]
    connections: frozenset[Endpoint]


def look(connection: ssh.Connection) -> Look:
    """Look at a balancer's processes and connections. Raises ConnectError."""
    return parsed(connection.run(["sh", "-c", LOOK]).output)


def parsed(output: str) -> Look:
    """What LOOK printed, as a value."""
    workers, connections = set[str](), set[Endpoint]()
    for line in output.splitlines():
        path, sign, title = line.partition(":")
        if sign and path.startswith("/proc/"):
            if title.rstrip("\0 ") == PLAIN_WORKER:
                workers.add(path.split("/")[2])
            continue
        fields = line.split()
        if len(fields) > 3 and fields[3] in OPEN:
            connections.add(_endpoint(fields[2]))
    return Look(frozenset(workers), frozenset(connections))


def _endpoint(text: str) -> Endpoint:
    """The kernel's "0B00570A:1F40" as ("10.87.0.11", 8000): words of 32 bits, each little-endian."""
    address, _, port = text.partition(":")
    data = bytes.fromhex(address)
    packed = b"".join(data[start : start + 4][::-1] for start in range(0, len(data), 4))
    found = ipaddress.ip_address(packed)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found), int(port, 16)
