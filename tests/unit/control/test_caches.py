"""cachenodes: who is let in, and where the sites find their cache."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import Deployment, attributes

CACHES = (
    Server("cachenode1", "cachenode", "10.0.0.41", memory_mb=2048),
    Server("cachenode2", "cachenode", "10.0.0.42"),
)
NAMES = [server.name for server in CACHES]


@pytest.fixture
def cached(deployment: Deployment) -> Deployment:
    return Deployment(deployment.settings, Inventory([*deployment.inventory, *CACHES]), deployment.secrets)


def environment(found: Deployment, name: str = "appnode1") -> dict[str, str]:
    sites = attributes(found.inventory.named(name), found)["django.sites"]
    return dict(sites[0]["environment"])


def test_a_site_is_told_of_every_cache_the_one_that_is_written_to_first(cached: Deployment) -> None:
    login = f"mysite.sites:{cached.secrets.password('cache')}"
    expected = [f"rediss://{login}@{node.private_ip}:6379/0" for node in CACHES]
    assert environment(cached)["CACHE_URL"].split(",") == expected
    assert login not in repr(environment(cached))


def test_caches_and_sites_have_what_tls_takes_and_without_it_nothing_is_made(cached: Deployment) -> None:
    shown = attributes(CACHES[0], cached)["redis.identity"]
    trusted = attributes(cached.inventory.named("appnode1"), cached)["base.ca_certificates"]
    assert shown["authority"] == trusted["deploymachine-mysite.crt"]
    assert attributes(cached.inventory.named("loadbalancer1"), cached)["base.ca_certificates"] == {}
    settings = cached.settings.model_copy(update={"PRIVATE_TLS": False})
    plain = Deployment(settings, cached.inventory, cached.secrets)
    assert attributes(CACHES[0], plain)["redis.identity"] is None
    assert environment(plain)["CACHE_URL"].startswith("redis://")
    assert attributes(plain.inventory.named("appnode1"), plain)["base.ca_certificates"] == {}


def test_without_a_cachenode_there_is_no_cache(deployment: Deployment) -> None:
    assert "CACHE_URL" not in environment(deployment)


def test_a_cache_lets_in_the_appnodes_and_the_other_caches_only(cached: Deployment) -> None:
    found = attributes(CACHES[0], cached)
    rules = {(rule["port"], source) for rule in found["base.firewall_rules"] for source in rule["sources"]}
    assert rules == {(6379, f"10.0.0.{last}") for last in (21, 22, 41, 42)}
    assert found["redis.listen_addresses"] == ["10.0.0.41"]


def test_the_first_is_written_to_and_the_others_copy_it(cached: Deployment) -> None:
    first, second = (attributes(node, cached) for node in CACHES)
    assert (first["redis.replica_of"], second["redis.replica_of"]) == (None, "10.0.0.41")
    assert first["redis.replicas"] == second["redis.replicas"]


def test_alone_it_takes_more_of_the_memory_than_beside_others(cached: Deployment) -> None:
    one = Server("all1", "dbappbalancer", "10.0.0.5", memory_mb=1024)
    combined = Deployment(cached.settings, Inventory([one]), cached.secrets)
    shares = [attributes(CACHES[0], cached)["redis.memory_share"], attributes(one, combined)["redis.memory_share"]]
    assert shares == [0.6, 0.125]
    assert "@10.0.0.5:6379/0" in environment(combined, "all1")["CACHE_URL"]


def test_of_a_cache_that_is_about_to_take_over_or_has_handed_over_no_site_is_told(cached: Deployment) -> None:
    for behind, told in (("cachenode2", "10.0.0.41"), ("cachenode1", "10.0.0.42")):
        between = replace(cached, behind=frozenset({(behind, "cachenode")}))
        assert [url.split("@")[1] for url in environment(between)["CACHE_URL"].split(",")] == [f"{told}:6379/0"]
        of = {name: attributes(cached.inventory.named(name), between)["redis.replica_of"] for name in NAMES}
        assert of == {behind: told, **{name: None for name in NAMES if name != behind}}
