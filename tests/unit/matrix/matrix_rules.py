"""A fleet in, what is wrong with it out: one function a property, which says it anew rather than asking the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from matrix_fleets import Fleet, Kept

from deploymachine.cloud import groups
from deploymachine.inventory import Server
from deploymachine.servertypes import parts

Wrong = Iterator[str]
Way = tuple[str, str, int]  # from an address, to an address, to a port
WEB = {80, 443}
SSH = 2222


def ports(fleet: Fleet) -> dict[str, int]:
    return {name: site.port for name, site in fleet.deployment.settings.SITES.items()}


def needed(fleet: Fleet) -> set[Way]:
    """Who may have to connect to whom. Of the tasknodes (or brokers) each may one day be the one with RabbitMQ."""
    keepers = fleet.serving("dbserver")
    brokers = fleet.serving("broker") or fleet.serving("tasknode")
    wanted = [
        *((fleet.serving("loadbalancer"), fleet.serving("appnode"), port) for port in ports(fleet).values()),
        ([*fleet.serving("appnode", "tasknode"), *keepers], keepers, 5432),
        (fleet.serving("appnode", "tasknode", "cachenode"), fleet.serving("cachenode"), 6379),
        (fleet.serving("appnode", "tasknode"), brokers, 5672),
        (fleet.servers, fleet.serving("lognode"), 2514),
    ]
    every = ((one, other, port) for ones, others, port in wanted for one in ones for other in others)
    return {(one.private_ip, other.private_ip, port) for one, other, port in every if one != other}


def let_in(fleet: Fleet) -> set[Way]:
    """What the servers' own firewalls let in from other servers."""
    return {
        (source, server.private_ip, rule["port"])
        for server in fleet.servers
        for rule in fleet.attributes[server.name]["base.firewall_rules"]
        for source in rule["sources"]
        if source != server.private_ip
    }


def used(fleet: Fleet) -> set[Way]:
    """The connections that servers are told to make."""
    return {(server.private_ip, *way) for server in fleet.servers for way in _used_by(server, fleet)
            if way[0] not in (server.private_ip, "127.0.0.1")}  # fmt: skip


def _used_by(server: Server, fleet: Fleet) -> Iterator[tuple[str, int]]:
    told = fleet.attributes[server.name]
    for site in told.get("nginx.sites", ()):
        yield from ((host, int(port)) for host, port in (one.split(":") for one in site["upstreams"]))
    for site in fleet.sites(server).values():
        for name in ("DATABASE_URL", "CACHE_URL", "BROKER_URL"):
            yield from (_place(url) for url in site["environment"].get(name, "").split(",") if url)
    if pooler := told.get("pgbouncer.server"):
        yield pooler["address"], pooler["port"]
    if primary := told.get("postgresql.primary"):
        yield primary["address"], primary["port"]
    if told.get("redis.replica_of"):
        yield told["redis.replica_of"], 6379
    for node in told["logs.lognodes"]:
        yield node["address"], told["logs.port"]


def _place(url: str) -> tuple[str, int]:
    found = urlsplit(url)
    return str(found.hostname), int(found.port or 0)


def ports_are_open_to_those_who_need_them_and_nobody_else(fleet: Fleet) -> Wrong:
    for way in sorted(needed(fleet) ^ let_in(fleet)):
        yield f"{way} is {'open' if way in let_in(fleet) else 'closed'}"


def what_is_used_is_open(fleet: Fleet) -> Wrong:
    yield from (f"{way} is closed" for way in sorted(used(fleet) - let_in(fleet)))


def only_balancers_are_open_to_anyone(fleet: Fleet) -> Wrong:
    for server in fleet.servers:
        rules = fleet.attributes[server.name]["base.firewall_rules"]
        anyone = {rule["port"] for rule in rules if not rule["sources"]}
        if anyone != (WEB if "loadbalancer" in parts(server.type) else set()):
            yield f"{server.name} is open to anyone at {sorted(anyone)}"


def the_clouds_groups_say_the_same(fleet: Fleet) -> Wrong:
    ids = {kind: kind for kind in ("", *fleet.counts)}
    found = set()
    for server in fleet.servers:
        for rule in groups.wanted_rules(fleet.deployment.settings, server.type, ids):
            peers = fleet.deployment.inventory.of_type(rule.get("remote_group_id", ""))
            found |= {(peer.private_ip, server.private_ip, rule["port_range_min"]) for peer in peers if peer != server}
    yield from (f"{way}: firewall and security groups differ" for way in sorted(found ^ let_in(fleet)))


def every_upstream_is_an_appnode_and_each_is_one(fleet: Fleet) -> Wrong:
    for server in fleet.serving("loadbalancer"):
        for site in fleet.attributes[server.name]["nginx.sites"]:
            binds = {fleet.sites(node)[site["name"]]["bind"] for node in fleet.serving("appnode")}
            if set(site["upstreams"]) != binds or len(site["upstreams"]) != len(binds):
                yield f"{server.name} sends {site['name']} to {site['upstreams']}, served at {sorted(binds)}"


def every_balancer_has_a_certificate_for_each_site(fleet: Fleet) -> Wrong:
    for server in fleet.serving("loadbalancer"):
        told = fleet.attributes[server.name]
        if {site["name"] for site in told["nginx.sites"]} != set(told["nginx.certificates"]):
            yield server.name


def every_site_has_a_database_that_lets_it_in(fleet: Fleet) -> Wrong:
    leading = [one for one in fleet.serving("dbserver") if not fleet.attributes[one.name]["postgresql.primary"]]
    if len(leading) != 1:
        yield f"{len(leading)} databases lead"
        return
    (keeper,) = leading
    clients = {tuple(one.values()) for one in fleet.attributes[keeper.name]["postgresql.clients"]}
    for server in fleet.serving("appnode", "tasknode"):
        for name, site in fleet.sites(server).items():
            yield from _reaches(server, name, site["environment"].get("DATABASE_URL", ""), keeper, clients, fleet)


def _reaches(server: Server, site: str, url: str, keeper: Server, clients: set[tuple[str, ...]], fleet: Fleet) -> Wrong:
    told, database = fleet.attributes[server.name], str(fleet.deployment.settings.SITES[site].database)
    place, owner = urlsplit(url), fleet.deployment.settings.DATABASES[database].owner
    if (place.path, place.username) != (f"/{database}", owner) or place.hostname != "127.0.0.1":
        yield f"{site} on {server.name} is told another database"
    if database not in {one["name"] for one in told["pgbouncer.databases"]} or place.port != told["pgbouncer.port"]:
        yield f"pgbouncer on {server.name} does not know {database}"
    if place.password != told["pgbouncer.passwords"][owner]:
        yield f"{site} on {server.name} has another password than pgbouncer"
    if (told["pgbouncer.server"] or {}).get("address") != (None if server == keeper else keeper.private_ip):
        yield f"pgbouncer on {server.name} goes elsewhere than to {keeper.name}"
    if (database, owner, "local" if server == keeper else server.private_ip) not in clients:
        yield f"{keeper.name} does not let {server.name} in to {database}"


def the_owners_password_is_the_same_everywhere(fleet: Fleet) -> Wrong:
    for keeper in fleet.serving("dbserver"):
        roles = fleet.attributes[keeper.name]["postgresql.roles"]
        for server in fleet.serving("appnode", "tasknode"):
            if fleet.attributes[server.name]["pgbouncer.passwords"] != roles:
                yield f"{server.name} and {keeper.name}"


def others_follow_the_one_that_leads(fleet: Fleet) -> Wrong:
    keepers = {one.name: fleet.attributes[one.name] for one in fleet.serving("dbserver")}
    leader = next(name for name, told in keepers.items() if not told["postgresql.primary"])
    for name, told in keepers.items():
        if name != leader and told["postgresql.primary"]["name"] != leader:
            yield f"{name} follows {told['postgresql.primary']}"
        if {one["name"] for one in told["postgresql.replicas"]} != set(keepers) - {name}:
            yield f"{name} does not know its peers"


def there_is_exactly_one_beat_where_there_are_workers(fleet: Fleet) -> Wrong:
    programs = Counter(
        program["name"]
        for server in fleet.servers
        for site in fleet.attributes[server.name].get("celery.sites", ())
        for program in site["programs"]
    )
    nodes = len(fleet.serving("tasknode"))
    if programs["beat-blog"] != min(1, nodes) or programs["celery-blog-celery"] != nodes:
        yield str(programs)


def there_is_exactly_one_broker_and_all_go_there(fleet: Fleet) -> Wrong:
    running = [one for one in fleet.servers if fleet.attributes[one.name].get("rabbitmq.run")]
    if len(running) != min(1, len(fleet.serving("broker", "tasknode"))):
        yield f"{len(running)} brokers run"
        return
    for server in fleet.serving("appnode", "tasknode"):
        url = fleet.sites(server)["blog"]["environment"].get("BROKER_URL") if "blog" in fleet.sites(server) else None
        place = urlsplit(str(url or ""))
        if (place.hostname or "") != (running[0].private_ip if running else ""):
            yield f"{server.name} goes to {place.hostname}"
        if running and (place.username, place.path) != ("blog", "/blog"):
            yield f"{server.name} comes as {place.username} to {place.path}"
    for one in running:
        if list(fleet.attributes[one.name]["rabbitmq.users"]) != ["blog"]:
            yield f"{one.name} lets in others than the site with tasks"


def cron_runs_on_one_server(fleet: Fleet) -> Wrong:
    found = [one.name for one in fleet.servers if fleet.attributes[one.name].get("django.cron")]
    if len(found) != 1:
        yield str(found)


def all_caches_follow_one_and_sites_write_to_it(fleet: Fleet) -> Wrong:
    nodes = {one.private_ip: fleet.attributes[one.name] for one in fleet.serving("cachenode")}
    first = [address for address, told in nodes.items() if told["redis.replica_of"] is None]
    if len(first) != min(1, len(nodes)) or {told["redis.replica_of"] for told in nodes.values()} - {None, *first}:
        yield f"{first} are written to"
    for server in fleet.serving("appnode", "tasknode"):
        for site in fleet.sites(server).values():
            hosts = [urlsplit(url).hostname for url in site["environment"].get("CACHE_URL", "").split(",") if url]
            if hosts[:1] != first or set(hosts) != set(nodes):
                yield f"{server.name} is told {hosts}"


def sites_have_databases_of_a_cache_of_their_own(fleet: Fleet) -> Wrong:
    for server in fleet.serving("appnode"):
        urls = [site["environment"].get("CACHE_URL") for site in fleet.sites(server).values()]
        if all(urls) and len(set(urls)) != len(urls):
            yield server.name


def everybody_logs_to_every_lognode(fleet: Fleet) -> Wrong:
    nodes = fleet.serving("lognode")
    for server in fleet.servers:
        told = fleet.attributes[server.name]
        if {one["address"] for one in told["logs.lognodes"]} != {one.private_ip for one in nodes if one != server}:
            yield f"{server.name} sends to {told['logs.lognodes']}"
        if bool(told["logs.identity"]) != bool(nodes):
            yield f"{server.name} can't prove who it is"
    for node in nodes:
        if set(fleet.attributes[node.name]["logs.senders"]) != {one.name for one in fleet.servers}:
            yield f"{node.name} does not know everybody"


def everybody_knows_everybodys_name(fleet: Fleet) -> Wrong:
    wanted = {one.name: one.private_ip for one in fleet.servers}
    yield from (one.name for one in fleet.servers if fleet.attributes[one.name]["base.hosts"] != wanted)


def no_two_listen_at_one_port(fleet: Fleet) -> Wrong:
    own = {"loadbalancer": WEB, "appnode": {6432, *ports(fleet).values()}, "dbserver": {5432}, "cachenode": {6379},
           "tasknode": set(), "broker": {5672}, "lognode": {2514}}  # fmt: skip
    for server in fleet.servers:
        taken = Counter([SSH, *(port for part in parts(server.type) for port in own[part])])
        if taken.most_common(1)[0][1] > 1:
            yield f"{server.name}: {taken}"


def only_whom_it_concerns_knows_a_secret(fleet: Fleet) -> Wrong:
    """Passwords of databases, caches and the broker stand in the attributes of those alone who need them."""
    secrets = fleet.deployment.secrets
    assert isinstance(secrets, Kept)
    sites = {"appnode", "tasknode"}
    need = {
        "database-blog": {"dbserver"},
        "cache": {"cachenode"},
        "broker-blog": {"broker"},
        "site-blog-secret-key": {""},
    }
    for server in fleet.servers:
        told = fleet.attributes[server.name]
        if sites & set(parts(server.type)):
            continue
        text = str({key: _open(value) for key, value in told.items()})
        for name, kinds in need.items():
            if not kinds & set(parts(server.type)) and name in secrets.known and secrets.known[name] in text:
                yield f"{server.name} is told {name}"


def _open(value: object) -> object:
    """The same with what hides itself said."""
    if isinstance(value, dict):
        return {key: _open(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_open(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value


PROPERTIES = (
    ports_are_open_to_those_who_need_them_and_nobody_else,
    what_is_used_is_open,
    only_balancers_are_open_to_anyone,
    the_clouds_groups_say_the_same,
    every_upstream_is_an_appnode_and_each_is_one,
    every_balancer_has_a_certificate_for_each_site,
    every_site_has_a_database_that_lets_it_in,
    the_owners_password_is_the_same_everywhere,
    others_follow_the_one_that_leads,
    there_is_exactly_one_beat_where_there_are_workers,
    there_is_exactly_one_broker_and_all_go_there,
    cron_runs_on_one_server,
    all_caches_follow_one_and_sites_write_to_it,
    sites_have_databases_of_a_cache_of_their_own,
    everybody_logs_to_every_lognode,
    everybody_knows_everybodys_name,
    no_two_listen_at_one_port,
    only_whom_it_concerns_knows_a_secret,
)
