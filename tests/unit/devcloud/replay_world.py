"""A recording and an empty devcloud go in; the devcloud comes out with what was there when the recording began."""

from __future__ import annotations

import time
from typing import Any

import requests
from replay import TRANSCRIPTS, Exchange, Names, load

Json = dict[str, Any]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl rec@example"
USER_DATA = "I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogcmVjCnJ1bmNtZDoKICAtIFt0b3VjaCwgL3J1bi9oZWxsb10K"
RULE = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")


class World:
    """Makes things by plain requests, as any client could. names: learns what they are called here."""

    def __init__(self, service: Any, exchanges: list[Exchange], names: Names) -> None:
        self.service = service
        self.exchanges = exchanges
        self.names = names
        made = [one for one in exchanges if one.method == "POST" and one.status < 300 and "/action" not in one.path]
        self.made = {_identity(_only(one.answer)) for one in made}
        several = [one.body["server"] for one in made if one.path.endswith("/servers")]
        self.made |= {f"{asked['name']}-{n}" for asked in several for n in range(1, asked.get("max_count", 1) + 1)}
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["X-Auth-Token"] = service.cloud.token()
        self._http.headers["OpenStack-API-Version"] = "compute 2.90"

    def make(self) -> None:
        with self._http:
            self._credentials()
            self._networks()
            self._groups()
            for name in {row["name"] for row in self.shown("keypairs")} | self._asked_of_servers("key_name"):
                self.post("compute/v2.1/os-keypairs", {"keypair": {"name": name, "public_key": KEY}})
            for row in sorted(self.shown("servers"), key=lambda row: (row["created"], row["name"])):
                self._server(row)
            attached = {row["addr"] for server in self.shown("servers") for row in _floating(server)}
            for row in self.shown("floatingips"):
                if row["floating_ip_address"] not in attached:
                    self._floating(row["floating_ip_address"], **self._port_of_another(row))

    def shown(self, kind: str) -> list[Json]:
        """What the recording shows of a kind without having made it, as it was seen first."""
        found: dict[str, Json] = {}
        for exchange in self.exchanges:
            answer = exchange.answer if exchange.method == "GET" and isinstance(exchange.answer, dict) else {}
            for row in [*(answer.get(kind) or ()), answer.get(kind[:-1])]:
                if isinstance(row, dict):
                    row = row.get("keypair", row)
                    settled = "flavor" in row and not row.get("OS-EXT-STS:task_state")
                    found.setdefault(_identity(row), row if settled else WHOLE.get(_identity(row), row))
        return [row for identity, row in found.items() if not {identity, row.get("name")} & self.made]

    def get(self, path: str) -> Json:
        answer = self._http.get(f"{self.service.layout.url}/{path}", timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def post(self, path: str, body: Json, method: str = "POST") -> Json:
        answer = self._http.request(method, f"{self.service.layout.url}/{path}", json=body, timeout=10)
        assert answer.ok, f"{method} {path} {body}: {answer.status_code} {answer.text}"
        return dict(answer.json()) if answer.content else {}

    def _credentials(self) -> None:
        for exchange in self.exchanges:
            identity = exchange.body["auth"]["identity"] if "auth/tokens" in exchange.path else {}
            if "application_credential" in identity:
                wanted = {"name": "devcloud", "secret": self.service.layout.password}
                user = self.service.connect().current_user_id
                self.post(f"identity/v3/users/{user}/application_credentials", {"application_credential": wanted})

    def _networks(self) -> None:
        there = {row["name"]: row["id"] for row in self.get("network/v2.0/networks")["networks"]}
        wanted = {row["name"] for row in self.shown("networks")}
        wanted |= {name for server in self.shown("servers") for name in server["addresses"]}
        if any(one.path == "/v2.0/networks" and one.status == 200 for one in self.exchanges):
            for name in set(there) - wanted - {"public"}:
                self._without_network(there[name])
        subnets = {row["network_id"]: row for row in self.shown("subnets")}
        ids = {row["name"]: row["id"] for row in self.shown("networks")}
        for row in self.get("network/v2.0/subnets")["subnets"]:
            if row["name"] == "private-subnet":
                told = {"subnet": {"dns_nameservers": ["192.0.2.53"]}}
                self.post(f"network/v2.0/subnets/{row['id']}", told, "PUT")
        for name in sorted(wanted - set(there)):
            network = self.post("network/v2.0/networks", {"network": {"name": name}})["network"]["id"]
            seen = subnets.get(ids.get(name, ""), {"name": f"{name}-subnet", "cidr": "10.88.0.0/24"})
            facts = ("name", "cidr", "enable_dhcp", "gateway_ip", "dns_nameservers")
            told = {fact: seen[fact] for fact in facts if fact in seen}
            self.post("network/v2.0/subnets", {"subnet": {**told, "network_id": network, "ip_version": 4}})

    def _without_network(self, network: str) -> None:
        """With the router's leg in it, if there is one."""
        for port in self.get(f"network/v2.0/ports?network_id={network}")["ports"]:
            if port["device_owner"] == "network:router_interface":
                path = f"network/v2.0/routers/{port['device_id']}/remove_router_interface"
                self.post(path, {"port_id": port["id"]}, "PUT")
        self._http.delete(f"{self.service.layout.url}/network/v2.0/networks/{network}", timeout=10).raise_for_status()

    def _groups(self) -> None:
        rows = {row["name"]: row for row in self.shown("security_groups")}
        made = {_only(one.answer).get("name") for one in self.exchanges if "/security-groups" in one.path}
        for name in sorted({*rows, *self._asked_of_servers("security_groups")} - made - {"default"}):
            row = rows.get(name, {"description": "recorded", "security_group_rules": []})
            group = {"name": name, "description": row["description"]}
            identity = self.post("network/v2.0/security-groups", {"security_group": group})["security_group"]["id"]
            for rule in row["security_group_rules"]:
                if rule["direction"] == "ingress":
                    wish = {**{fact: rule[fact] for fact in RULE}, "security_group_id": identity}
                    self.post("network/v2.0/security-group-rules", {"security_group_rule": wish})

    def _asked_of_servers(self, name: str) -> set[str]:
        """The keys or groups that servers have, or are asked for with."""
        asked = [one.body["server"] for one in self.exchanges if one.status == 202 and "server" in (one.body or ())]
        found: set[str] = set()
        for row in [*asked, *self.shown("servers")]:
            value = row.get(name)
            found |= {one["name"] for one in value} if isinstance(value, list) else {value} if value else set()
        return found - self.made

    def _server(self, row: Json) -> None:
        networks = self.get("network/v2.0/networks")["networks"]
        ids = {network["name"]: network["id"] for network in networks}
        flavors = {one["name"]: one["id"] for one in self.get("compute/v2.1/flavors")["flavors"]}
        images = {one["name"]: one["id"] for one in self.get("image/v2/images")["images"]}
        body = {name: row[name] for name in ("metadata", "tags", "key_name") if row.get(name)}
        body |= {"name": row["OS-EXT-SRV-ATTR:hostname"], "flavorRef": flavors[row["flavor"]["original_name"]]}
        body["user_data"] = USER_DATA
        body |= {"imageRef": images["tiny-raw"], "config_drive": row["config_drive"] == "True"}
        body["networks"] = [{"uuid": ids[name]} for name in row["addresses"] or ("private",)]
        for port in self.shown("ports"):
            if port["device_id"] == row["id"] and port["name"]:  # made before, and handed over
                made = self.post("network/v2.0/ports", {"port": {"name": port["name"], "network_id": ids["private"]}})
                body["networks"] = [{"port": made["port"]["id"]}, *body["networks"][1:]]
        body["security_groups"] = [{"name": name} for name in {one["name"] for one in row.get("security_groups", ())}]
        hints = {name: self._server_group(hint[0]) for name, hint in row["scheduler_hints"].items()}
        fault = row["metadata"].get("osbench_fail")
        self.service.machines.broken = f"osbench_fail={fault}" if fault else None
        wish = {"server": body, "os:scheduler_hints": hints}
        server = self.post("compute/v2.1/servers", wish)["server"]["id"]
        while self.service.machines.broken and self.service.cloud.compute.server(server).task_state:
            time.sleep(0.001)
        self.service.machines.broken = None
        self.names.learn(row["id"], server)
        if row["name"] != body["name"]:
            self.post(f"compute/v2.1/servers/{server}", {"server": {"name": row["name"]}}, "PUT")
        for floating in _floating(row):
            port = self.get(f"network/v2.0/ports?device_id={server}")["ports"][0]["id"]
            self._floating(floating["addr"], port_id=port)

    def _server_group(self, recorded: str) -> str:
        """The id here of the one that the recording calls so; a new one when it is first met."""
        if self.names.here(recorded) == recorded:
            wish = {"server_group": {"name": "rec-group", "policy": "anti-affinity"}}
            self.names.learn(recorded, self.post("compute/v2.1/os-server-groups", wish)["server_group"]["id"])
        return self.names.here(recorded)

    def _port_of_another(self, floating: Json) -> dict[str, str]:
        """For an address that leads to a server which the recording shows nowhere: make one."""
        if not floating["port_id"]:
            return {}
        some = next(iter(WHOLE.values()))
        another = {"name": "another", "OS-EXT-SRV-ATTR:hostname": "another", "key_name": None, "security_groups": ()}
        self._server({**some, **another, "id": floating["port_details"]["device_id"], "addresses": {}})
        server = self.names.here(floating["port_details"]["device_id"])
        return {"port_id": self.get(f"network/v2.0/ports?device_id={server}")["ports"][0]["id"]}

    def _floating(self, address: str, **more: str) -> None:
        networks = self.get("network/v2.0/networks?router:external=True")["networks"]
        body = {"floatingip": {"floating_network_id": networks[0]["id"], **more}}
        made = self.post("network/v2.0/floatingips", body)["floatingip"]
        self.names.learn(address, made["floating_ip_address"])


def _identity(row: Json) -> str:
    return str(row.get("id") if isinstance(row.get("id"), str) else row.get("name", ""))


def _only(answer: Any) -> Json:
    """The one object that an answer wraps."""
    value = next(iter(answer.values()), None) if isinstance(answer, dict) else None
    return value if isinstance(value, dict) else {}


def _all_servers() -> dict[str, Json]:
    """By id, as they were last seen at rest in any scenario: some scenarios show no more than names."""
    found: dict[str, Json] = {}
    for file in sorted(TRANSCRIPTS.glob("*.json")):
        for exchange in load(file):
            for row in exchange.servers:
                if not row["OS-EXT-STS:task_state"] and row["status"] != "DELETED":
                    found[row["id"]] = row
    return found


WHOLE = _all_servers()


def _floating(server: Json) -> list[Json]:
    return [row for rows in server["addresses"].values() for row in rows if row["OS-EXT-IPS:type"] == "floating"]
