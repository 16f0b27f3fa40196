"""A place with databases goes in; Keystone, Placement, Glance, Neutron and Nova answer on their ports."""

from __future__ import annotations

import time

import configuration
from place import ADDRESS, PLUGINS, REPOSITORY, Place
from processes import finish, start, wait_listening

APIS = ("keystone", "placement", "glance", "neutron", "nova", "nova-2019")
DAEMONS = ("nova-conductor", "nova-scheduler", "nova-compute")
MODULES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "neutron": "neutron.wsgi.api",
    "nova": "nova.wsgi.osapi_compute",
    "nova-2019": "nova_2019",
}


def start_keystone(place: Place) -> None:
    _start_api(place, "keystone")
    wait_listening(place, ["keystone"])


def start_all(place: Place) -> None:
    """Until every API listens; the hypervisor reports for duty some seconds later."""
    # nova-compute looks for a conductor every 10 s: that comes first
    _start_daemon(place, "nova-conductor")
    _start_daemon(place, "nova-scheduler")
    _start_api(place, "placement")
    start(
        place,
        "nova-compute",
        [place.bin("python"), str(PLUGINS / "nova_compute.py"), *_nova(place, "nova-compute")],
        _plugins(place),
    )
    for name in APIS:
        _start_api(place, name)
    wait_listening(place, APIS)


def map_hypervisor(place: Place) -> None:
    """Tell Nova's first cell of the host that has reported."""
    finish(place, "nova-manage", [place.bin("nova-manage"), *_nova(place, "nova"), "cell_v2", "discover_hosts"])


def _start_daemon(place: Place, name: str) -> None:
    start(place, name, [place.bin(name), *_nova(place, "nova")])


def _start_api(place: Place, name: str) -> None:
    argv = [
        place.bin("pyuwsgi"),
        *("--http-socket", f"{ADDRESS}:{place.port(name)}"),
        *("--module", f"{MODULES[name]}:application"),
        *("--master", "--processes", "1", "--threads", "1", "--enable-threads", "--lazy-apps", "--need-app"),
        *("--die-on-term", "--worker-reload-mercy", "3", "--buffer-size", "65535", "--socket-timeout", "60"),
        *("--add-header", "Connection: close"),
    ]
    if name == "neutron":
        argv += ["--set", f"start-time={int(time.time())}"]
    if name == "glance":
        argv.append("--http-chunked-input")
    start(place, name, argv, _plugins(place) | configuration.environment(place))


def _plugins(place: Place) -> dict[str, str]:
    """The services load our drivers from the checkout, and those what they need of devcloud."""
    path = f"{PLUGINS}:{REPOSITORY}"
    return {"PYTHONPATH": path, "DEPLOYMACHINE_OPENSTACK_HYPERVISOR": str(place.hypervisor)}


def _nova(place: Place, role: str) -> list[str]:
    return ["--config-file", place.config(role, "nova.conf")]
