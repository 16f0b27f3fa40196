"""What the fake OpenStack offers besides making, listing and deleting servers: actions, ports, zones, volumes."""

import uuid

PROJECT_ID = "f4aff2b2460148298202fdc894760c58"
WAKES = {"os-start", "unpause", "resume", "unshelve"}


def fixed(address):
    return {"version": 4, "addr": address, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}


class Extras:
    """Mixed into the handler of requests; `self.cloud` holds the state."""

    # what is done with a server

    def do_with_server(self, rest, body):
        server = self.cloud.servers.get(rest[0])
        if server is None:
            return self.no_server(rest[0])
        if rest[1] == "metadata":
            server["metadata"].update(body["metadata"])
            return 200, {"metadata": server["metadata"]}
        if rest[1] == "os-interface":
            return self.plug(server, body["interfaceAttachment"]["net_id"])
        if rest[1] == "os-volume_attachments":
            return self.attach(server, body["volumeAttachment"])
        return self.act(server, next(iter(body)), body)

    def act(self, server, action, body):
        self.cloud.actions.append((server["name"], action))
        if action == "os-getConsoleOutput":
            return 200, {"output": "booting\nlogin:"}
        if action == "os-stop":
            server["status"] = "SHUTOFF"
        if action in WAKES or (action == "reboot" and server["name"] not in self.cloud.beyond_repair):
            server["status"] = "ACTIVE"
            server["addresses"] = {"private": [fixed(server["_address"])]}
        return 202, None

    def plug(self, server, network_id):
        server["_ports"] = [self.cloud.port(server["id"], network_id, [])]
        server["addresses"] = {"private": [fixed(server["_address"])]}
        return 200, {"interfaceAttachment": {"net_id": network_id, "port_id": server["_ports"][0]["id"]}}

    def attach(self, server, asked):
        volume = self.cloud.volumes[asked["volumeId"]]
        volume["attachments"] = [{"server_id": server["id"], "attachment_id": str(uuid.uuid4())}]
        volume["status"] = "in-use"
        return 200, {"volumeAttachment": {"id": volume["id"], "volumeId": volume["id"], "serverId": server["id"]}}

    def forget(self, server):
        """What happens to others' things when a server is gone."""
        for volume in self.cloud.volumes.values():
            if any(one["server_id"] == server["id"] for one in volume["attachments"]):
                volume.update(attachments=[], status="available")
        for ip in self.cloud.floating.values():
            if ip["port_id"] in [port["id"] for port in server["_ports"]]:
                ip["port_id"] = None

    # compute's other resources

    def get_compute_v2_1_os_availability_zone(self, *_):
        zones = [{"zoneName": name, "zoneState": {"available": up}, "hosts": None} for name, up in self.cloud.zones]
        return 200, {"availabilityZoneInfo": zones}

    def get_compute_v2_1_os_server_groups(self, *_):
        return 200, {"server_groups": list(self.cloud.server_groups.values())}

    def post_compute_v2_1_os_server_groups(self, _, __, body):
        asked = body["server_group"]
        group = {"id": str(uuid.uuid4()), "members": [], "metadata": {}, **asked}
        self.cloud.server_groups[group["id"]] = group
        return 200, {"server_group": group}

    def delete_compute_v2_1_os_server_groups(self, rest, *_):
        self.cloud.server_groups.pop(rest[0])
        return 204, None

    def get_compute_v2_1_limits(self, *_):
        return 200, {"limits": {"rate": [], "absolute": self.cloud.limits}}

    # network's other resources

    def get_network_v2_0_ports(self, _, query, __):
        every = [port for server in self.cloud.servers.values() for port in server["_ports"]]
        return 200, {"ports": [p for p in every if query.get("device_id", [p["device_id"]]) == [p["device_id"]]]}

    def put_network_v2_0_ports(self, rest, _, body):
        for server in self.cloud.servers.values():
            for port in server["_ports"]:
                if port["id"] == rest[0]:
                    port.update(body["port"])
                    return 200, {"port": port}
        return 404, {"NeutronError": {"type": "PortNotFound", "message": f"Port {rest[0]} could not be found."}}

    def delete_network_v2_0_security_group_rules(self, rest, *_):
        self.cloud.rules.pop(rest[0])
        return 204, None

    def get_network_v2_0_quotas(self, *_):
        if self.cloud.floating_limit is None:
            return 404, {"NeutronError": {"type": "HTTPNotFound", "message": "The resource could not be found."}}
        told = {"limit": self.cloud.floating_limit, "used": len(self.cloud.floating), "reserved": 0}
        return 200, {"quota": {"floatingip": told}}

    def get_network_v2_0_floatingips(self, _, query, __):
        wanted = query.get("description")
        return 200, {
            "floatingips": [f for f in self.cloud.floating.values() if wanted is None or f["description"] == wanted[0]]
        }

    def post_network_v2_0_floatingips(self, _, __, body):
        address = f"127.88.0.{len(self.cloud.floating) + 1}"
        found = {
            "id": str(uuid.uuid4()),
            "floating_ip_address": address,
            "status": "DOWN",
            "port_id": None,
            **body["floatingip"],
        }
        self.cloud.floating[found["id"]] = found
        return 201, {"floatingip": found}

    def put_network_v2_0_floatingips(self, rest, _, body):
        self.cloud.floating[rest[0]].update(body["floatingip"])
        return 200, {"floatingip": self.cloud.floating[rest[0]]}

    def delete_network_v2_0_floatingips(self, rest, *_):
        self.cloud.floating.pop(rest[0])
        return 204, None

    # block storage

    def get_volume_v3(self, *_):
        links = [{"rel": "self", "href": f"{self.cloud.url}/volume/v3/"}]
        return 200, {
            "versions": [{"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "links": links}]
        }

    def get_volume_v3_volumes(self, rest, *_):
        if rest == ["detail"]:
            return 200, {"volumes": list(self.cloud.volumes.values())}
        volume = self.cloud.volumes.get(rest[0])
        if volume is None:
            return 404, {"itemNotFound": {"code": 404, "message": f"Volume {rest[0]} could not be found."}}
        if volume["status"] == "creating":
            volume["status"] = self.cloud.new_volumes_are
        return 200, {"volume": volume}

    def post_volume_v3_volumes(self, _, __, body):
        asked = body["volume"]
        volume = {"id": str(uuid.uuid4()), "status": "creating", "attachments": [], "created_at": self.cloud.now()}
        self.cloud.volumes[volume["id"]] = {**volume, "availability_zone": "nova", **asked}
        return 202, {"volume": self.cloud.volumes[volume["id"]]}

    def delete_volume_v3_volumes(self, rest, *_):
        self.cloud.volumes.pop(rest[0])
        return 202, None

    def get_volume_v3_os_availability_zone(self, *_):
        return 200, {"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}}]}

    def get_volume_v3_limits(self, *_):
        return 200, {"limits": {"rate": [], "absolute": self.cloud.volume_limits}}
