"""Roles and server types: what each server cooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploymachine import servertypes
from deploymachine.errors import SettingsError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.runlist import RunList, only, run_lists
from deploymachine.servertypes import Deployment, attributes


def with_roles(deployment: Deployment, text: str) -> Deployment:
    (deployment.settings.directory / "kokki-config.yaml").write_text(text)
    return deployment


def run_list(one: Server, deployment: Deployment) -> RunList:
    return run_lists([one], deployment)[one.name]


def server(deployment: Deployment, name: str) -> Server:
    return deployment.inventory.named(name)


def test_every_server_type_has_a_role(deployment: Deployment) -> None:
    for kind in servertypes.names():
        one = Server("one1", kind, "10.0.0.99")
        inventory = Inventory([*deployment.inventory, one])
        found = run_list(one, Deployment(deployment.settings, inventory, deployment.secrets))
        assert found.recipes[0] == "base"
        assert found.roles[-1] == kind


def test_the_balancer_sends_to_every_appnode(deployment: Deployment) -> None:
    found = attributes(server(deployment, "loadbalancer1"), deployment)
    assert found["nginx.sites"][0]["upstreams"] == ["10.0.0.21:8000", "10.0.0.22:8000"]
    assert {rule["port"] for rule in found["base.firewall_rules"]} == {80, 443}
    assert "BEGIN CERTIFICATE" in found["nginx.certificates"]["blog"]["certificate"]


def test_the_appnode_lets_in_the_balancer_only(deployment: Deployment) -> None:
    found = attributes(server(deployment, "appnode1"), deployment)
    assert [(r["port"], r["sources"]) for r in found["base.firewall_rules"]] == [(8000, ["10.0.0.11"])]
    site = found["django.sites"][0]
    assert site["bind"] == "10.0.0.21:8000"
    assert site["environment"]["ALLOWED_HOSTS"] == "198.51.100.7,10.0.0.11"
    assert site["environment"]["DATABASE_URL"].startswith("postgresql://blog:")
    assert "@127.0.0.1:6432/blog" in site["environment"]["DATABASE_URL"]


def test_the_dbserver_lets_in_the_appnodes_only(deployment: Deployment) -> None:
    found = attributes(server(deployment, "dbserver1"), deployment)
    assert [(r["port"], r["sources"]) for r in found["base.firewall_rules"]] == [(5432, ["10.0.0.21", "10.0.0.22"])]
    assert {client["address"] for client in found["postgresql.clients"]} == {"10.0.0.21", "10.0.0.22"}
    assert found["postgresql.memory_mb"] == 2048


def test_without_appnodes_nobody_is_let_in(deployment: Deployment) -> None:
    alone = Inventory([server(deployment, "dbserver1")])
    found = attributes(server(deployment, "dbserver1"), Deployment(deployment.settings, alone, deployment.secrets))
    assert found["base.firewall_rules"] == []


def test_a_combined_type_is_the_union_of_its_parts(deployment: Deployment) -> None:
    one = Server("all1", "dbappbalancer", "10.0.0.5")
    found = attributes(one, Deployment(deployment.settings, Inventory([one]), deployment.secrets))
    assert {"nginx.sites", "django.sites", "postgresql.roles"} <= set(found)
    assert found["nginx.sites"][0]["upstreams"] == ["10.0.0.5:8000"]
    assert "@127.0.0.1:6432/" in found["django.sites"][0]["environment"]["DATABASE_URL"]


@pytest.mark.parametrize("kind", ["loadbalancer", "appbalancer", "dbappbalancer"])
def test_who_is_drained_is_left_to_the_balancer_of_a_server_alone(deployment: Deployment, kind: str) -> None:
    one = Server("all1", kind, "10.0.0.5")
    here = Deployment(deployment.settings, Inventory([*deployment.inventory, one]), deployment.secrets)
    wanted = only("loadbalancer", run_list(one, here), deployment.settings)
    assert wanted.recipes == ("nginx",)
    assert "fingerprint" not in wanted.request()


def test_a_site_without_its_database_server_is_refused(deployment: Deployment) -> None:
    alone = Inventory([server(deployment, "appnode1")])
    with pytest.raises(UsageError, match="no server holds databases"):
        attributes(server(deployment, "appnode1"), Deployment(deployment.settings, alone, deployment.secrets))


def test_the_same_inputs_make_the_same_run_list(deployment: Deployment) -> None:
    for one in deployment.inventory:
        assert run_list(one, deployment).request() == run_list(one, deployment).request()


def test_secrets_travel_marked_and_show_nothing(deployment: Deployment) -> None:
    wanted = run_list(server(deployment, "appnode1"), deployment)
    password = deployment.secrets.password("database-blog")
    assert password not in repr(wanted)
    environment = wanted.request()["attributes"]["django.sites"][0]["environment"]
    assert environment["DATABASE_URL"]["$secret"].startswith(f"postgresql://blog:{password}@")
    assert "********" in repr(password)
    assert json.dumps(wanted.request())


def test_where_no_role_is_called_so_all_is_cooked(deployment: Deployment) -> None:
    with_roles(deployment, "roles: {dbserver: {recipes: [base, nginx]}}")
    found = run_list(server(deployment, "dbserver1"), deployment)
    assert only("loadbalancer", found, deployment.settings) == found


def test_parents_come_first_and_a_child_wins(deployment: Deployment) -> None:
    with_roles(
        deployment,
        """
roles:
  base: {recipes: [base], default_attributes: {a.x: 1, a.y: 1, a.z: 1}}
  web: {parents: [base], recipes: [nginx], default_attributes: {a.y: 2, a.z: 2}}
  appnode:
    parents: [base, web]
    recipes: [django.sites, base]
    default_attributes: {a.z: "{{ settings.SSH_PORT }}", note: "port {{ settings.SSH_PORT }}"}
    override_attributes: {base.hostname: mine}
""",
    )
    found = run_list(server(deployment, "appnode1"), deployment)
    assert found.recipes == ("base", "nginx", "django.sites")
    assert found.roles == ("base", "web", "appnode")
    assert [found.attributes[name] for name in ("a.x", "a.y", "a.z")] == [1, 2, 2222]
    assert found.attributes["note"] == "port 2222"
    assert found.attributes["base.hostname"] == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("roles: {appnodes: {}}", ["no role 'appnode'", "did you mean 'appnodes'"]),
        (
            "roles: {appnode: {parents: [bsae]}, base: {}}",
            ["no role 'bsae'", "did you mean 'base'", "parents of appnode"],
        ),
        ("roles: {appnode: {parents: [b]}, b: {parents: [appnode]}}", ["its own parent", "appnode -> b -> appnode"]),
        ("roles: {appnode: {recipe: [x]}}", ["roles.appnode.recipe"]),
        ("roles: {appnode: {recipes: ['x y']}}", ["roles.appnode.recipes.0"]),
        ("roles: [", ["not valid YAML"]),
        ("roles: {appnode: {default_attributes: {a: '{{ settings.NOPE }}'}}}", ["can't be filled in", "NOPE"]),
        ("cookbook_paths: [nowhere]\nroles: {appnode: {}}", ["no such directory", "nowhere"]),
    ],
)
def test_a_mistake_in_the_roles_is_named(deployment: Deployment, text: str, words: list[str]) -> None:
    with_roles(deployment, text)
    with pytest.raises(SettingsError) as caught:
        run_list(server(deployment, "appnode1"), deployment)
    for word in [*words, "kokki-config.yaml"]:
        assert word in str(caught.value)


def test_no_roles_file(deployment: Deployment) -> None:
    Path(deployment.settings.directory / "kokki-config.yaml").unlink()
    with pytest.raises(SettingsError, match=r"no kokki-config\.yaml here"):
        run_list(server(deployment, "appnode1"), deployment)


def test_own_cookbooks_travel_first(deployment: Deployment) -> None:
    (deployment.settings.directory / "cookbooks").mkdir()
    with_roles(deployment, "cookbook_paths: [cookbooks]\nroles: {appnode: {}}")
    found = run_list(server(deployment, "appnode1"), deployment)
    assert found.request()["cookbook_paths"] == ["user_cookbooks/0", "cookbooks"]
    assert found.cookbook_paths == (deployment.settings.directory / "cookbooks",)
