"""A small OpenStack spoken over real HTTP, in the shapes a real one answers; faults on request. For tests only."""

import json
import re
import socket
import threading
import uuid
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml

from deploymachine.settings import Settings
from tests.unit.cloud.fake_extras import Extras, fixed

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUZ2bWwPMhlXzUTJ2i/a4dsQJUyNnBdYbvM2sAPMxkz admin"
OPEN = (["compute", "v2.1"], ["image"], ["volume", "v3"])  # what they are they tell everybody
NOW = "2026-01-01T00:00:00Z"
PROJECT = "f4aff2b2460148298202fdc894760c58"
FLAVORS = {"m1.small": (2048, 1), "m1.medium": (4096, 2), "m1.large": (8192, 4)}


class FakeOpenStack:
    """Start with `with FakeOpenStack() as cloud`; `cloud.url` is its Keystone."""

    def __init__(self):
        self.services = {"identity": "/v3", "compute": "/compute/v2.1", "image": "/image", "network": "/network"}
        self.max_microversion = "2.104"
        self.lists_floating_after = 1  # how many looks until Nova has learnt of a floating IP
        self.builds_for = 1  # how many times a server is looked at before it is ACTIVE
        self.page = 1000
        self.faults = []  # [(method, path pattern, status, body), ...]: each answers one request
        self.done_but = []  # the same, but each request is done before it is answered so
        self.retry_after = "0"
        self.token = "token"  # another one, and those that were given out have expired
        self.drop_after = []  # [(method, path pattern), ...]: done, but the answer gets lost
        self.cut = None  # (how many changes are answered, whether the next is done); from then on nothing is answered
        self.build_errors = {}  # server name -> fault message
        self.requests = []  # (method, path, body)
        self.servers, self.floating, self.groups, self.rules = {}, {}, {}, {}
        self.images = [image("debian-13"), image("debian-12"), image("ubuntu-24.04"), image("broken", status="queued")]
        self.networks = [network("private"), network("public", external=True)]
        self.flavors = {name: str(uuid.uuid4()) for name in FLAVORS}
        self.server_groups, self.volumes, self.more_flavors = {}, {}, []
        self.zones = [("nova", True)]
        self.limits, self.volume_limits, self.floating_limit = {}, {}, None
        self.new_volumes_are = "available"
        self.actions = []  # (server name, action)
        self.beyond_repair = set()  # names of servers that no reboot brings out of ERROR
        self.lock = threading.RLock()

    def __enter__(self):
        handler = type("Bound", (Handler,), {"cloud": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def calls(self, method, path):
        return [body for m, p, body in self.requests if m == method and p.startswith(path)]

    def catalog(self):
        return [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [
                    {"id": kind, "interface": "public", "region": "here", "region_id": "here", "url": self.url + path}
                ],
            }
            for kind, path in self.services.items()
        ]

    def add_server(self, name, metadata, status="ACTIVE", address=None, **more):
        number = len(self.servers) + 5
        address = address or f"127.77.{number // 250}.{number % 250}"
        server = {
            "id": str(uuid.uuid4()),
            "name": name,
            "status": status,
            "metadata": metadata,
            "addresses": {"private": [fixed(address)]} if status == "ACTIVE" else {},
            "image": {"id": self.images[0]["id"], "links": []},
            "flavor_name": "m1.small",
            "OS-EXT-STS:task_state": None,
            "created": self.now(),
            "_looks": 0,
            "_address": address,
            **more,
        }
        server["_ports"] = [self.port(server["id"], self.networks[0]["id"], server.pop("groups", []))]
        self.servers[server["id"]] = server
        return server

    def port(self, server_id, network_id, groups):
        return {
            "id": f"port-{server_id}",
            "device_id": server_id,
            "network_id": network_id,
            "security_groups": list(groups),
        }

    def now(self, seconds_ago=0):
        when = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")

    def add_group(self, name, description):
        group = {"id": str(uuid.uuid4()), "project_id": PROJECT, "created_at": NOW, "name": name}
        self.groups[group["id"]] = {**group, "description": description, "security_group_rules": []}
        return self.groups[group["id"]]

    def add_rule(self, group_id, **rule):
        empty = dict.fromkeys(("protocol", "port_range_min", "port_range_max", "remote_group_id", "remote_ip_prefix"))
        rule = {**empty, "id": str(uuid.uuid4()), "security_group_id": group_id, **rule}
        self.rules[rule["id"]] = rule
        return rule


def image(name, created=NOW, status="active"):
    return {"id": str(uuid.uuid4()), "name": name, "status": status, "created_at": created, "visibility": "public"}


def network(name, external=False):
    found = {"id": str(uuid.uuid4()), "name": name, "router:external": external, "subnets": [str(uuid.uuid4())]}
    return {**found, "admin_state_up": True, "shared": False, "project_id": PROJECT, "status": "ACTIVE"}


class Handler(Extras, BaseHTTPRequestHandler):
    cloud: FakeOpenStack
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer

    def log_message(self, *_):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        url = urlsplit(self.path)
        with self.cloud.lock:
            self.cloud.requests.append((self.command, self.path, body))
            gone = self.is_cut()
            if gone is None:
                status, payload, headers = self.fault() or self.routed(url.path, parse_qs(url.query), body)
                status, payload = (self.take(self.cloud.done_but) or (0, 0, status, payload))[2:]
            elif gone == "done":
                self.routed(url.path, parse_qs(url.query), body)
        if gone or self.take(self.cloud.drop_after):
            self.close_connection = True
            return
        data = b"" if payload is None else json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names BaseHTTPRequestHandler calls

    def is_cut(self):
        """None: answer. "done", "lost": the change is done or not, and whoever asked never hears of it."""
        if self.cloud.cut is None:
            return None
        left, done = self.cloud.cut
        if self.command != "GET":
            self.cloud.cut = (left - 1, done)
        if left < 0:
            return "lost"
        return ("done" if done else "lost") if left == 0 and self.command != "GET" else None

    def take(self, waiting):
        for entry in waiting:
            if entry[0] == self.command and re.match(entry[1], self.path):
                waiting.remove(entry)
                return entry
        return None

    def fault(self):
        entry = self.take(self.cloud.faults)
        return (
            (entry[2], entry[3], {"Retry-After": self.cloud.retry_after} if entry[2] in (429, 503) else {})
            if entry
            else None
        )

    def routed(self, path, query, body):
        parts = path.strip("/").split("/")
        if parts[0] == "v3":
            return self.keystone(parts, body)
        if self.headers.get("X-Auth-Token") != self.cloud.token and parts not in OPEN:
            return 401, {"error": {"code": 401, "message": "The request you have made requires authentication."}}, {}
        where = "_".join(part for part in parts[:3] if len(part) < 30).replace(".", "_").replace("-", "_")
        found = getattr(self, f"{self.command.lower()}_{where}", None)
        if found is None:
            return 404, {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}, {}
        return (*found(parts[3:], query, body), {})

    def keystone(self, parts, body):
        if parts == ["v3"]:
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.cloud.url}/v3/"}]}
            return 200, {"version": version}, {}
        if parts != ["v3", "auth", "tokens"]:
            return (
                404,
                {"error": {"code": 404, "message": "The resource could not be found.", "title": "Not Found"}},
                {},
            )
        if body["auth"]["identity"]["password"]["user"]["name"] != "demo":
            message = "The request you have made requires authentication."
            return 401, {"error": {"code": 401, "message": message, "title": "Unauthorized"}}, {}
        user = {"id": "u", "name": "demo", "domain": {"id": "default", "name": "Default"}}
        token = {"methods": ["password"], "user": user, "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": NOW}
        token |= {"project": {"id": PROJECT, "name": "demo", "domain": {"id": "default", "name": "Default"}}}
        return (
            201,
            {"token": token | {"roles": [], "catalog": self.cloud.catalog()}},
            {"X-Subject-Token": self.cloud.token},
        )

    # compute

    def get_compute_v2_1(self, *_):
        links = [{"rel": "self", "href": f"{self.cloud.url}/compute/v2.1/"}]
        version = {"id": "v2.1", "status": "CURRENT", "version": self.cloud.max_microversion, "min_version": "2.1"}
        return 200, {"version": {**version, "links": links}}

    def get_compute_v2_1_flavors(self, *_):
        listed = [
            {"id": self.cloud.flavors[name], "name": name, "ram": ram, "vcpus": cpus, "disk": 10}
            for name, (ram, cpus) in FLAVORS.items()
        ]
        return 200, {"flavors": [*listed, *self.cloud.more_flavors]}

    def get_compute_v2_1_servers(self, rest, query, _):
        if rest == ["detail"]:
            return 200, self.page_of_servers(query)
        server = self.cloud.servers.get(rest[0])
        if server is None:
            return self.no_server(rest[0])
        self.grow(server)
        return 200, {"server": self.shown(server)}

    def page_of_servers(self, query):
        ids = list(self.cloud.servers)
        start = ids.index(query["marker"][0]) + 1 if "marker" in query else 0
        page = ids[start : start + self.cloud.page]
        more = start + self.cloud.page < len(ids)
        link = f"{self.cloud.url}/compute/v2.1/servers/detail?marker={page[-1]}" if more else ""
        links = {"servers_links": [{"rel": "next", "href": link}]} if more else {}
        return {"servers": [self.shown(self.cloud.servers[i]) for i in page], **links}

    def post_compute_v2_1_servers(self, rest, _, body):
        if rest:
            return self.do_with_server(rest, body)
        asked = body["server"] | {key: value for key, value in body.items() if key != "server"}
        known = {i: name for name, i in self.cloud.flavors.items()}
        groups = [group["name"] for group in asked.get("security_groups", [])]
        server = self.cloud.add_server(asked["name"], asked["metadata"], status="BUILD", asked=asked, groups=groups)
        server["flavor_name"] = known[asked["flavorRef"]]
        return 202, {"server": {"id": server["id"], "links": [], "adminPass": "x"}}

    def delete_compute_v2_1_servers(self, rest, *_):
        server = self.cloud.servers.get(rest[0])
        if server is None:
            return self.no_server(rest[0])
        server["OS-EXT-STS:task_state"] = "deleting"
        return 204, None

    def no_server(self, server_id):
        return 404, {"itemNotFound": {"code": 404, "message": f"Instance {server_id} could not be found."}}

    def grow(self, server):
        server["_looks"] += 1
        if server["OS-EXT-STS:task_state"] == "deleting":
            self.forget(self.cloud.servers.pop(server["id"]))
        elif server["status"] in ("REBOOT", "HARD_REBOOT", "RESIZE"):
            server.update(status="ACTIVE", addresses={"private": [fixed(server["_address"])]})
        elif server["status"] == "BUILD" and server["_looks"] > self.cloud.builds_for:
            fault = self.cloud.build_errors.get(server["name"])
            if fault:
                server.update(status="ERROR", fault={"code": 500, "message": fault, "created": NOW})
            else:
                server.update(status="ACTIVE", addresses={"private": [fixed(server["_address"])]})

    def shown(self, server):
        asked = self.headers.get("OpenStack-API-Version", "compute 2.1").split()[-1]
        name = server["flavor_name"]
        ram, cpus = FLAVORS[name]
        flavor = {"id": self.cloud.flavors[name], "links": []}
        if int(asked.split(".")[1]) >= 47:
            flavor = {"original_name": name, "ram": ram, "vcpus": cpus, "disk": 10, "ephemeral": 0, "swap": 0}
        floating = [
            ip["floating_ip_address"]
            for ip in self.cloud.floating.values()
            if ip["port_id"] == f"port-{server['id']}" and server["_looks"] > self.cloud.lists_floating_after
        ]
        entries = [{"version": 4, "addr": ip, "OS-EXT-IPS:type": "floating"} for ip in floating]
        addresses = {net: [*listed, *entries] for net, listed in server["addresses"].items()}
        told = {key: value for key, value in server.items() if key[0] != "_" and key not in ("asked", "flavor_name")}
        ids = [one for port in server["_ports"] for one in port["security_groups"]]
        groups = [{"name": self.cloud.groups[one]["name"]} for one in ids if one in self.cloud.groups]
        if server["status"] != "BUILD":
            told["security_groups"] = groups
        return {**told, "flavor": flavor, "addresses": addresses if server["_ports"] else {}}

    # image

    def get_image(self, *_):
        return 300, {
            "versions": [
                {"id": "v2.9", "status": "CURRENT", "links": [{"rel": "self", "href": f"{self.cloud.url}/image/v2/"}]}
            ]
        }

    def get_image_v2_images(self, _, query, __):
        return 200, {"images": [i for i in self.cloud.images if query.get("name", [i["name"]]) == [i["name"]]]}

    # network

    def get_network_v2_0_networks(self, _, query, __):
        wanted = query.get("router:external")
        return 200, {
            "networks": [n for n in self.cloud.networks if wanted is None or str(n["router:external"]) == wanted[0]]
        }

    def get_network_v2_0_security_groups(self, _, query, __):
        groups = [g for g in self.cloud.groups.values() if query.get("name", [g["name"]]) == [g["name"]]]
        for group in groups:
            group["security_group_rules"] = [
                r for r in self.cloud.rules.values() if r["security_group_id"] == group["id"]
            ]
        return 200, {"security_groups": groups}

    def post_network_v2_0_security_groups(self, _, __, body):
        return 201, {"security_group": self.cloud.add_group(**body["security_group"])}

    def delete_network_v2_0_security_groups(self, rest, *_):
        self.cloud.groups.pop(rest[0])
        return 204, None

    def post_network_v2_0_security_group_rules(self, _, __, body):
        return 201, {"security_group_rule": self.cloud.add_rule(None, **body["security_group_rule"])}


def greeting_server():
    """A listener that greets as sshd does, on every loopback address. Returns (port, stop)."""
    listener = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - answers for each fake server's 127.x address

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"SSH-2.0-fake\r\n")

    thread = threading.Thread(target=serve)
    thread.start()

    def stop():
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()

    return listener.getsockname()[1], stop


def make_settings(tmp_path, openstack, user="demo", **more):
    auth = {"auth_url": openstack.url + "/v3", "username": user, "password": "right", "project_name": "demo"}
    auth |= {"user_domain_name": "Default", "project_domain_name": "Default"}
    site = tmp_path / "site"
    site.mkdir(exist_ok=True)
    (site / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"here": {"auth": auth, "region_name": "here"}}}))
    values = {
        "directory": site,
        "DEPLOYMENT": "guestbook",
        "OPENSTACK_CLOUD": "here",
        "OPENSTACK_SERVERS": {"appnode": [("appnode1", "m1.small")], "dbserver": [("dbserver1", "m1.medium")]},
        "OPENSTACK_BOOT_TIMEOUT": 10,
        "ADMIN_SSH_KEYS": [KEY],
    }
    return Settings(**{**values, **more})
