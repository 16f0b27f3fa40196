"""Nova's floating addresses of old, which it takes from Neutron: clients turn to them when Neutron refuses."""

from __future__ import annotations

from flask import Blueprint

from deploymachine.devcloud.api import Cloud, Json, sent
from deploymachine.devcloud.api_compute import at_least
from deploymachine.devcloud.state import FloatingIP, Network, Port, Refused

PATH = "/v2.1/os-floating-ips"


def register(api: Blueprint, cloud: Cloud) -> None:
    networking = cloud.networking

    @api.get("/v2.1/os-floating-ip-pools")
    def pools() -> Json:
        _check_old()
        return {"floating_ip_pools": [{"name": network.name} for network in _external(cloud)]}

    @api.get(PATH)
    def list_addresses() -> Json:
        _check_old()
        return {"floating_ips": [show(cloud, floating) for floating in cloud.store.all(FloatingIP)]}

    @api.post(PATH)
    def create_address() -> Json:
        _check_old()
        pool = sent().get("pool")
        network = next((one for one in _external(cloud) if pool in (None, one.name, one.id)), None)
        if network is None:
            raise Refused(404, f"Floating IP pool not found: {pool}.")
        return {"floating_ip": show(cloud, networking.create_floating(network.id))}

    @api.get(f"{PATH}/<identity>")
    def show_address(identity: str) -> Json:
        _check_old()
        return {"floating_ip": show(cloud, _found(cloud, identity))}

    @api.delete(f"{PATH}/<identity>")
    def delete_address(identity: str) -> tuple[str, int]:
        _check_old()
        networking.delete_floating(_found(cloud, identity).id)
        return "", 202


def show(cloud: Cloud, floating: FloatingIP) -> Json:
    port = cloud.store.get(Port, floating.port_id)
    return {
        "fixed_ip": port.address if port else None,
        "id": floating.id,
        "instance_id": port.device_id if port else None,
        "ip": floating.address,
        "pool": networks[0] if (networks := _names(cloud, floating.network_id)) else floating.network_id,
    }


def _names(cloud: Cloud, network_id: str) -> list[str]:
    return [network.name for network in _external(cloud) if network.id == network_id]


def _external(cloud: Cloud) -> list[Network]:
    return [network for network in cloud.store.all(Network) if network.external]


def _found(cloud: Cloud, identity: str) -> FloatingIP:
    floating = cloud.store.get(FloatingIP, identity)
    if floating is None:
        raise Refused(404, f"Floating IP not found for ID {identity}")
    return floating


def _check_old() -> None:
    if at_least(36):
        raise Refused(404, "The resource could not be found.")
