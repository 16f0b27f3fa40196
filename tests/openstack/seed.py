"""An empty OpenStack goes in; users and a catalogue come out, then flavors, an image, networks, and clouds.yaml."""

from __future__ import annotations

import io
import time
import warnings
from typing import Any

import yaml
from openstack.connection import Connection
from place import OLD_REGION, PASSWORD, REGION, Place

PROJECTS = {"service": (), "demo": ("demo",), "other": ("other",)}  # project: its users, besides Nova's and its kin
SERVICES = ("nova", "glance", "neutron", "placement")
APP_CREDENTIAL = "tests"
ENDPOINTS = {
    "image": ("glance", ""),
    "network": ("neutron", ""),
    "compute": ("nova", "/v2.1"),
    "placement": ("placement", ""),
}
FLAVORS = {  # name: vCPUs, MB, GB; the last fits on no host, and what has m1.slow takes its time
    "m1.tiny": (1, 512, 1),
    "m1.small": (1, 1024, 10),
    "m1.slow": (1, 512, 1),
    "m1.medium": (2, 2048, 20),
    "m1.huge": (500, 999424, 40),
}
HYPERVISOR_WITHIN = 180  # seconds


def identity(place: Place) -> None:
    """What Keystone knows: projects, users, roles, services and where they answer."""
    cloud = connect(place, "admin").identity
    roles = {role.name: role.id for role in cloud.roles()}
    for name in {"member", "reader", "service"} - set(roles):
        roles[name] = cloud.create_role(name=name).id
    projects = {name: cloud.create_project(name=name, domain_id="default").id for name in PROJECTS}
    for project, users in {**PROJECTS, "service": SERVICES}.items():
        for name in users:
            user = cloud.create_user(name=name, password=PASSWORD, domain_id="default").id
            for role in ("admin", "service") if project == "service" else ("member", "reader"):
                cloud.assign_project_role_to_user(projects[project], user, roles[role])
    _catalogue(place, cloud)


def _catalogue(place: Place, cloud: Any) -> None:
    """Two regions of one cloud: in the second, Nova is an old one."""
    cloud.create_region(id=OLD_REGION)
    keystone = next(iter(cloud.services(type="identity")))
    _endpoint(cloud, keystone.id, OLD_REGION, place.url("keystone", "/v3/"))
    for kind, (name, path) in ENDPOINTS.items():
        service = cloud.create_service(name=name, type=kind)
        for region in (REGION, OLD_REGION):
            listener = "nova-2019" if kind == "compute" and region == OLD_REGION else name
            _endpoint(cloud, service.id, region, place.url(listener, path))


def _endpoint(cloud: Any, service: str, region: str, url: str) -> None:
    for interface in ("public", "internal", "admin"):
        cloud.create_endpoint(service_id=service, interface=interface, region_id=region, url=url)


def wait_for_hypervisor(place: Place) -> None:
    """Until nova-compute has said what it has."""
    cloud = connect(place, "admin")
    deadline = time.monotonic() + HYPERVISOR_WITHIN
    while not any(service.state == "up" for service in cloud.compute.services(binary="nova-compute")) or not list(
        cloud.placement.resource_providers()
    ):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nova-compute did not report within {HYPERVISOR_WITHIN} s")
        time.sleep(0.3)


def fill(place: Place, image: str, private: str, floating: str) -> None:
    """What a project finds in a cloud. image: of devcloud. private, floating: CIDRs; .1 is the gateway's."""
    admin = connect(place, "admin")
    for name, (vcpus, ram, disk) in FLAVORS.items():
        admin.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk)
    # its content is for nobody: the machines' disks are devcloud's trees of that name
    stub = {"disk_format": "raw", "container_format": "bare", "visibility": "public", "os_distro": "debian"}
    admin.create_image(name=image, data=io.BytesIO(b"devcloud\n" * 64), wait=True, **stub)
    unlimited = {"cores": -1, "ram": -1}  # so that too big a flavor is the scheduler's to refuse
    admin.set_compute_quotas("demo", **unlimited)
    _networks(place, admin, private, floating)
    demo = connect(place, "demo")
    secret = {"name": APP_CREDENTIAL, "secret": PASSWORD}
    demo.identity.create_application_credential(demo.current_user_id, **secret)


def _networks(place: Place, admin: Connection, private: str, floating: str) -> None:
    flat = {"provider_network_type": "flat", "provider_physical_network": "public"}
    public = admin.network.create_network(name="public", is_router_external=True, **flat)
    admin.network.create_subnet(network_id=public.id, ip_version=4, cidr=floating, is_dhcp_enabled=False)
    demo = connect(place, "demo").network
    network = demo.create_network(name="private")
    subnet = demo.create_subnet(network_id=network.id, ip_version=4, cidr=private, is_dhcp_enabled=False)
    router = demo.create_router(name="router", external_gateway_info={"network_id": public.id})
    demo.add_interface_to_router(router, subnet=subnet.id)


def connect(place: Place, cloud: str) -> Connection:
    """The unmodified SDK."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the SDK deprecates within itself
        return Connection(**clouds(place)["clouds"][cloud])


def clouds(place: Place) -> dict[str, Any]:
    """clouds.yaml, as a provider would offer it for download."""

    def by_password(user: str, region: str = REGION) -> dict[str, Any]:
        names = {"username": user, "password": PASSWORD, "project_name": user}
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
        return {**common(region), "auth": {"auth_url": place.url("keystone", "/v3"), **names, **domains}}

    def common(region: str) -> dict[str, Any]:
        return {"region_name": region, "interface": "public", "identity_api_version": 3}

    credential = {
        "auth_url": place.url("keystone", "/v3"),
        "username": "demo",
        "user_domain_name": "Default",
        "application_credential_name": APP_CREDENTIAL,
        "application_credential_secret": PASSWORD,
    }
    return {
        "clouds": {
            **{user: by_password(user) for user in ("admin", "demo", "other")},
            "demo-2019": by_password("demo", OLD_REGION),
            "demo-credential": {**common(REGION), "auth_type": "v3applicationcredential", "auth": credential},
        }
    }


def write_clouds(place: Place) -> None:
    place.clouds.write_text(yaml.safe_dump(clouds(place), sort_keys=False))
