"""The caches of the sites: how they do, what they hold, and emptied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.contrib._servers import on_servers
from deploymachine.contrib._site import SITE
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.site_names import chosen
from deploymachine.tasks import deployment, selected, task
from deploymachine.tasks._prompt import agreed

if TYPE_CHECKING:
    from deploymachine.inventory import Server
    from deploymachine.remote import Order
    from deploymachine.servertypes import Deployment

# The password comes on stdin and goes into the environment: arguments are for everybody on the server to see.
ASK = 'IFS= read -r REDISCLI_AUTH; export REDISCLI_AUTH; count=$1; shift; redis-cli "$@" | head -n "$count"'
ALL = 100_000
CLOSED = 141  # the exit code of what was writing when its reader had enough
NONE = "0"


@task(help={"section": "all that Redis tells of it: server, memory, stats, replication, keyspace ..."})
def info(_: Context, section: str = "") -> None:
    """Show how the caches do: `fab cachenode redis.info --section memory`. Changes nothing."""
    from deploymachine.tasks._table import print_table

    here = deployment()
    nodes = _nodes(here)
    if section:
        on_servers(nodes, lambda node: _order(node, here, ["INFO", section]), here)
        return
    said = on_servers(nodes, lambda node: _order(node, here, ["INFO"]), here, quiet=True)
    rows = [_row(name, _read(text)) for name, text in said.items()]
    print_table(("server", "role", "version", "memory", "clients", "keys", "hits", "evicted"), rows)


@task(help={**SITE, "match": "only such as 'session:*'; * and ? are any text, any letter", "limit": "how many at most"})
def keys(_: Context, site: str = "", match: str = "*", limit: int = 100) -> None:
    """Show keys that a site has in its cache: `fab cachenode redis.keys --site blog --match 'page:*'`.

    Looks through it bit by bit, so that nobody has to wait. Changes nothing.
    """
    here = deployment()
    number = database(site, here)
    words = ["-n", str(number), "--scan", "--pattern", match]
    on_servers(_nodes(here)[:1], lambda node: _order(node, here, words, max(1, limit)), here, fine=(0, CLOSED))


@task(help={**SITE, "yes": "do not ask"})
def flush(_: Context, site: str = "", yes: bool = False) -> None:
    """Empty a site's cache: `fab cachenode redis.flush --site blog`. Asks first.

    Other sites keep theirs. Visitors wait longer until it is filled again, and sessions that are kept there end.
    """
    here = deployment()
    _nodes(here)
    name = chosen(site, here.settings.SITES)
    leading = here.staying("cachenode")[:1]
    words = ["-n", str(database(name, here))]
    count = on_servers(leading, lambda node: _order(node, here, [*words, "DBSIZE"]), here, quiet=True)
    keys_now = next(iter(count.values())).strip().rpartition(" ")[2]
    if not agreed(f"The cache of {name} is emptied: {keys_now} keys, sessions that it keeps there too. Go on?", yes):
        raise UsageError("Nothing was emptied")
    said = on_servers(leading, lambda node: _order(node, here, [*words, "FLUSHDB", "ASYNC"]), here)
    if refused := [text.strip() for text in said.values() if text.strip() != "OK"]:
        raise ConvergeError(f"The cache of {name} was not emptied", where=leading[0].where, why=refused[0])


def database(site: str, here: Deployment) -> int:
    """The number of the database that is the site's. Raises UsageError."""
    return list(here.settings.SITES).index(chosen(site, here.settings.SITES))


def _nodes(here: Deployment) -> list[Server]:
    """Those of the selected servers that are caches, the one that is written to first. Raises UsageError."""
    there = here.staying("cachenode")
    selection = selected(here.inventory)
    found = [server for server in there if server in selection]
    if not found:
        raise UsageError(
            f"There is no Redis on {', '.join(server.name for server in selection)}",
            why=f"it is on {', '.join(server.name for server in there) or 'no server yet'}",
            hint="begin with `fab cachenode`, or with a type that is one, too, such as `fab dbappbalancer`",
        )
    return found


def _order(node: Server, here: Deployment, words: Sequence[str], most: int = ALL) -> Order:
    from deploymachine.remote import Order
    from deploymachine.servertypes import cachenode

    encrypted = ["--tls", "--cacert", "/etc/redis/tls/authority.pem"] if here.settings.PRIVATE_TLS else []
    (user, password), *_ = cachenode.attributes(node, here)["redis.users"].items()
    where = ["-h", node.private_ip, "-p", str(cachenode.PORT), "--user", user, *encrypted]
    argv = ["bash", "-o", "pipefail", "-c", ASK, "bash", str(most), *where, *words]
    return Order(argv, "root", [password.encode() + b"\n"], called=f"redis-cli {' '.join(words)}")


def _read(text: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def _row(server: str, told: Mapping[str, str]) -> Sequence[str]:
    hits, misses = (int(told.get(f"keyspace_{word}", NONE)) for word in ("hits", "misses"))
    held = [
        value.partition(",")[0].partition("=")[2]
        for name, value in told.items()
        if name[:2] == "db" and "keys=" in value
    ]
    return (
        server,
        told.get("role", "?"),
        told.get("redis_version", "?"),
        f"{told.get('used_memory_human', '?')} of {told.get('maxmemory_human', '?')}",
        told.get("connected_clients", "?"),
        str(sum(int(count) for count in held)),
        f"{100 * hits / (hits + misses):.0f} %" if hits + misses else "",
        told.get("evicted_keys", "?"),
    )
