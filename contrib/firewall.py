"""The servers' firewalls: what comes in, a port opened for a while, what is declared put back."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from deploymachine.contrib._servers import on_servers
from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, selected, task
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._table import print_table, written_age

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.remote import Order

TABLE = "inet deploymachine"
UNITS = {"s": 1, "m": 60, "h": 3600}
SHORTEST, LONGEST = 10, 24 * 3600  # seconds
ANYWHERE = ("0.0.0.0/0", "::/0")
RULE = re.compile(
    r"\s*(?:ip6? saddr (?P<sources>\{[^}]*\}|\S+) )?(?P<protocol>tcp|udp) (?:sport \d+ \S+ )?dport (?P<port>\S+) "
    r'accept(?: comment "(?P<comment>[^"]*)")?'
)
LOOK = f"""set -e
nft list chain {TABLE} input
for name in opened4 opened6; do echo; nft -j list set {TABLE} $name 2>/dev/null || echo; done"""
OPEN = f"""nft list set {TABLE} opened4 >/dev/null 2>&1 || {{
  echo 'Its firewall has no place for such ports yet: `fab everything kokki` makes it' >&2; exit 1
}}
exec nft -f -"""
CLOSE = f"for name in opened4 opened6; do nft flush set {TABLE} $name 2>/dev/null || true; done"
RENEW = "add element {table} {name} {{ {key} }}\ndelete element {table} {name} {{ {key} }}\n"
ADD = "add element {table} {name} {{ {key} timeout {seconds}s }}\n"


@task()
def show(_: Context) -> None:
    """What comes in, from where, as the servers' firewalls have it now: `fab everything firewall.show`."""
    here = deployment()
    told = on_servers(selected(here.inventory), _as_root(["sh", "-c", LOOK]), here, quiet=True)
    rows = [[name, *row] for name, text in told.items() for row in rows_of(text)]
    print_table(("server", "port", "from", "comment", "closes in"), rows)


@task(
    help={
        "port": "which",
        "minutes": "for how long: 10, at most 1440; 90s and 2h are understood, too",
        "allow_ip": "addresses and networks that come in, with commas; default: everybody",
        "udp": "not TCP",
        "yes": "do not ask, where everybody would come in",
    }
)
def open(_: Context, port: str, minutes: str = "10", allow_ip: str = "", udp: bool = False, yes: bool = False) -> None:
    """Open a port for a while: `fab appnode firewall.open --port 8080 --minutes 30 --allow-ip 192.0.2.7`.

    The server's own kernel closes it when the time is over, whatever has become of this machine; a reboot or
    `firewall.reload --close` closes it sooner. Connections that were made live on. On OpenStack the type's security
    group gets the rule, too; the next command that keeps the groups removes it once its time is over.
    """
    number, seconds, sources = _port(port), _seconds(minutes), _sources(allow_ip)
    here = deployment()
    servers = selected(here.inventory)
    names = ", ".join(server.name for server in servers)
    if not allow_ip and not agreed(f"Everybody comes in at port {number} of {names}. Open it?", yes):
        raise UsageError("It stays closed")
    until = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    protocol = "udp" if udp else "tcp"
    script = "".join(_entry(source, protocol, number, seconds) for source in sources).encode()
    _in_the_cloud(servers, number, protocol, sources, until)
    on_servers(servers, _as_root(["sh", "-c", OPEN], [script]), here, quiet=True)
    print(f"{protocol} {number} of {names} is open to {allow_ip or 'everybody'} until {until:%H:%M:%S} (UTC)")


@task(help={"close": "what firewall.open opened as well"})
def reload(_: Context, close: bool = False) -> None:
    """Put back what is declared: `fab appnode firewall.reload`. What firewall.open opened stays, but with --close.

    It takes /etc/nftables.conf as the last cook wrote it, in one step: no connection is lost.
    """
    here = deployment()
    servers = selected(here.inventory)
    orders = [_as_root(["sh", "-c", CLOSE])] if close else []
    for order in (*orders, _as_root(["systemctl", "reload-or-restart", "nftables"])):
        on_servers(servers, order, here, quiet=True)
    print(f"{', '.join(server.name for server in servers)}: as declared")


def rows_of(told: str) -> list[list[str]]:
    """[port, from, comment, closes in], of what LOOK printed."""
    chain, four, six = [*told.split("\n\n"), "", ""][:3]
    rules = [found for line in chain.splitlines() if (found := RULE.match(line))]
    rows = [
        [f"{rule['port']}/{rule['protocol']}", _listed(rule["sources"]), rule["comment"] or "", ""] for rule in rules
    ]
    return rows + [_opened(entry["elem"]) for text in (four, six) for entry in _entries(text)]


def _listed(sources: str | None) -> str:
    return "everybody" if sources is None else sources.strip("{} ")


def _entries(text: str) -> list[dict[str, Any]]:
    try:
        parts = json.loads(text)["nftables"]
    except (ValueError, LookupError):
        return []  # it was provisioned before there were such sets
    return [entry for part in parts for entry in part.get("set", {}).get("elem", ())]


def _opened(entry: dict[str, Any]) -> list[str]:
    source, protocol, port = entry["val"]["concat"]
    network = f"{source['prefix']['addr']}/{source['prefix']['len']}" if isinstance(source, dict) else source
    where = "everybody" if network in ANYWHERE else network
    return [f"{port}/{protocol}", where, "opened for a while", written_age(entry.get("expires"))]


def _entry(source: str, protocol: str, port: int, seconds: int) -> str:
    """Lines of nft. An entry that is there keeps its time, so it goes first."""
    network = ipaddress.ip_network(source)
    name = f"opened{network.version}"
    key = f"{network if network.num_addresses > 1 else network.network_address} . {protocol} . {port}"
    return RENEW.format(table=TABLE, name=name, key=key) + ADD.format(table=TABLE, name=name, key=key, seconds=seconds)


def _in_the_cloud(servers: Sequence[Server], port: int, protocol: str, sources: Sequence[str], until: datetime) -> None:
    from deploymachine.tasks import _deployment

    kinds = sorted({server.type for server in servers if server.id})
    if kinds:
        _deployment.cloud().open_for_a_while(kinds, port, protocol, sources, until)


def _as_root(argv: Sequence[str], given: Sequence[bytes] = ()) -> Order:
    from deploymachine.remote import Order

    return Order(argv, "root", given, called="nft" if argv[0] == "sh" else "")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UsageError(f"--port {text}: that is no port", why="it is a number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text.strip())
    seconds = int(found[1]) * UNITS[found[2] or "m"] if found else 0
    if not SHORTEST <= seconds <= LONGEST:
        raise UsageError(
            f"--minutes {text} can't be done",
            why="a port is opened for 10 seconds at least and a day at most: 30, 90s, 2h",
            hint="what is to stay open belongs into a server type's openings, or a cookbook of yours",
        )
    return seconds


def _sources(text: str) -> list[str]:
    """Networks, none of which lies within another; all there are where none is named."""
    words = [one.strip() for one in text.split(",") if one.strip()]
    try:
        networks = [ipaddress.ip_network(one, strict=False) for one in words or ANYWHERE]
    except ValueError:
        raise UsageError(
            f"--allow-ip {text}: that is no address", hint="addresses or networks: --allow-ip 192.0.2.7,198.51.100.0/24"
        ) from None
    four = ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(one for one in networks if isinstance(one, ipaddress.IPv6Network))
    return [str(one) for one in (*four, *six)]
