"""What the outside sees: whether names lead to the balancers, and whether the servers' ports answer from here."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from deploymachine.check.lines import Line, fail, ok, warn
from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import parts
from deploymachine.settings import Settings
from deploymachine.ssh import login

SECONDS = 5.0
WEB = (443, 80)


def names(settings: Settings, inventory: Inventory) -> Iterator[Line]:
    """Every domain of every site leads to a balancer."""
    balancers = inventory.serving("loadbalancer")
    addresses = {address for one in balancers for address in (one.public_ip, one.private_ip) if address}
    domains = [domain for site in settings.SITES.values() for domain in site.domains]
    yield from _at_once("dns", [lambda domain=domain: _name(domain, addresses) for domain in domains])  # type: ignore[misc]
    for name in (name for name, site in settings.SITES.items() if not site.domains):
        yield ok("dns", f"{name} has no domains: it answers at the balancer's own address")


def _name(domain: str, balancers: set[str]) -> Line:
    wanted = ", ".join(sorted(balancers))
    record = f"a record for {domain} has to name {wanted or 'the balancer, once it is booted'}"
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(domain, 443, type=socket.SOCK_STREAM)}
    except OSError as error:
        return fail("dns", f"{domain} leads nowhere: {error.strerror or error}", record)
    shown = ", ".join(sorted(found))
    if not balancers:
        return warn("dns", f"{domain} leads to {shown}; there is no balancer yet", record)
    if strangers := found - balancers:
        return fail("dns", f"{domain} leads to {', '.join(sorted(strangers))}, which is no balancer of ours", record)
    return ok("dns", f"{domain} leads to {shown}")


def ports(settings: Settings, inventory: Inventory) -> Iterator[Line]:
    """SSH of every server that runs, and the balancers' HTTPS and HTTP, as reached from here."""
    running = [server for server in inventory if server.state == "ACTIVE" and server.address]
    yield from _at_once("ports", [lambda server=server: _ssh(server, settings) for server in running])  # type: ignore[misc]
    web = [(one, port) for one in running if "loadbalancer" in parts(one.type) for port in WEB]
    yield from _at_once("ports", [lambda one=one, port=port: _web(one, port) for one, port in web])  # type: ignore[misc]


def _ssh(server: Server, settings: Settings) -> Line:
    port = login(server, settings).port
    if answers(server.address, port):
        return ok("ports", f"{server.name} answers at {server.address} port {port}")
    if answers(server.address, 22):
        return warn("ports", f"{server.name} answers at port 22 only: it is not provisioned", "`fab root provision`")
    todo = "`fab everything kokki` mends the security groups; a VPN or a firewall may keep this machine out"
    return fail("ports", f"{server.name} does not answer at {server.address} port {port}", todo)


def _web(server: Server, port: int) -> Line:
    if answers(server.address, port):
        return ok("ports", f"{server.name} answers at port {port}")
    return warn("ports", f"{server.name} does not answer at port {port}", f"`fab {server.type} launch`")


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), SECONDS).close()
    except OSError:
        return False
    return True


def _at_once(area: str, looks: Sequence[Callable[[], Line]]) -> Iterable[Line]:
    """In their order; a name server that never answers holds up nobody for long."""
    if not looks:
        return []
    pool = ThreadPoolExecutor(max_workers=32)
    futures = [pool.submit(look) for look in looks]
    done, _ = wait(futures, SECONDS * 2)
    pool.shutdown(wait=False, cancel_futures=True)
    late = fail(area, "there was no answer in time", "look at the name server and the network of this machine")
    return [future.result() if future in done else late for future in futures]
