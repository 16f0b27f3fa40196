"""A place goes in; the services' configuration files come out: all on loopback, one worker each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from place import ADDRESS, PASSWORD, REGION, Place

Sections = Mapping[str, Mapping[str, object]]


def write(place: Place) -> None:
    """Every file of it, from scratch."""
    _save(place, "keystone", "keystone.conf", keystone(place))
    _save(place, "glance", "glance-api.conf", glance(place))
    _save(place, "placement", "placement.conf", placement(place))
    _save(place, "neutron", "neutron.conf", neutron(place))
    _save(place, "neutron", "ml2_conf.ini", ML2)
    _save(place, "nova", "nova.conf", nova(place))
    _save(place, "nova-compute", "nova.conf", nova_compute(place))
    for service, file in (("glance", "glance-api-paste.ini"), ("nova", "api-paste.ini"), ("neutron", "api-paste.ini")):
        shutil.copy(place.venv / "etc" / service / file, place.etc / service)
    for directory in ("images", "images-staging", "images-tasks", "nova", "neutron", "lock", "keys"):
        (place.run / directory).mkdir(exist_ok=True)


def environment(place: Place) -> dict[str, str]:
    """How the services find their files when a WSGI server starts them."""
    directories = {
        f"OS_{service.upper()}_CONFIG_DIR": f"{place.etc / service}/"
        for service in ("keystone", "glance", "placement", "nova", "neutron")
    }
    return {**directories, "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini"}


def ini(sections: Sections) -> str:
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in values.items()), ""]
    return "\n".join(lines)


def database_url(place: Place, name: str) -> str:
    return f"mysql+pymysql://root:@/{name}?unix_socket={place.socket}&charset=utf8mb4"


def rabbit_url(place: Place) -> str:
    return f"rabbit://guest:guest@{ADDRESS}:{place.port('rabbit')}/"


def keystone(place: Place) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True, "public_endpoint": place.url("keystone")},
        "database": _database(place, "keystone"),
        "token": {"provider": "fernet", "expiration": 14400},
        "fernet_tokens": {"key_repository": place.run / "keys/fernet"},
        "credential": {"key_repository": place.run / "keys/credential"},
        "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
        "oslo_messaging_notifications": {"driver": "noop"},
    }


def glance(place: Place) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "bind_host": ADDRESS,
            "enabled_backends": "fs:file",
            "workers": 1,
            "node_staging_uri": f"file://{place.run}/images-staging",
            "transport_url": rabbit_url(place),
        },
        "database": _database(place, "glance"),
        "glance_store": {"default_backend": "fs"},
        "fs": {"filesystem_store_datadir": place.run / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": place.run / "images-staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": place.run / "images-tasks"},
        "keystone_authtoken": _token_check(place, "glance"),
        "paste_deploy": {"flavor": "keystone", "config_file": place.config("glance", "glance-api-paste.ini")},
        **_common(place),
    }


def placement(place: Place) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True},
        "api": {"auth_strategy": "keystone"},
        "placement_database": _database(place, "placement"),
        "keystone_authtoken": _token_check(place, "placement"),
        "oslo_concurrency": {"lock_path": place.run / "lock"},
    }


def neutron(place: Place) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "state_path": place.run / "neutron",
            "core_plugin": "ml2",
            "service_plugins": "devcloud_network.FloatingAddresses",
            "auth_strategy": "keystone",
            "transport_url": rabbit_url(place),
            "api_paste_config": place.config("neutron", "api-paste.ini"),
            "dhcp_agent_notification": False,
            "enable_traditional_dhcp": False,
            "notify_nova_on_port_status_changes": True,
            "notify_nova_on_port_data_changes": True,  # else Nova lists a new floating address minutes late
            "send_events_interval": 1,
            "rpc_workers": 0,
            "rpc_state_report_workers": 0,
            "setproctitle": "off",
        },
        "database": _database(place, "neutron"),
        "keystone_authtoken": _token_check(place, "neutron"),
        "nova": _login(place, "nova"),
        "placement": _login(place, "placement"),
        **_common(place),
    }


ML2: Sections = {
    "ml2": {
        "type_drivers": "flat,vxlan",
        "tenant_network_types": "vxlan",
        "mechanism_drivers": "devcloud",
        "extension_drivers": "port_security",
    },
    "ml2_type_flat": {"flat_networks": "public"},
    "ml2_type_vxlan": {"vni_ranges": "1:4000"},
    "securitygroup": {"enable_security_group": True},
}


def nova(place: Place) -> dict[str, Mapping[str, object]]:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "host": "controller",
            "my_ip": ADDRESS,
            "state_path": place.run / "nova",
            "transport_url": rabbit_url(place),
            "api_paste_config": place.config("nova", "api-paste.ini"),
            "compute_driver": "devcloud_driver.Devcloud",
            "osapi_compute_workers": 1,
            "allow_resize_to_same_host": True,
            "report_interval": 5,
            "service_down_time": 120,  # this machine may be busy
            "sync_power_state_interval": 10,  # a machine that died shows as SHUTOFF soon
            "instance_usage_audit": False,
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": _database(place, "nova_api"),
        "database": _database(place, "nova_cell1"),
        "keystone_authtoken": _token_check(place, "nova"),
        "service_user": {"send_service_user_token": True, **_login(place, "nova")},
        "glance": _login(place, "glance"),
        "neutron": _login(place, "neutron"),
        "placement": _login(place, "placement"),
        "scheduler": {"workers": 1},
        "conductor": {"workers": 1},
        "vnc": {"enabled": False},
        **_common(place),
    }


def nova_compute(place: Place) -> Sections:
    """A hypervisor's host may not know the API's database."""
    sections = nova(place)
    del sections["api_database"]
    sections["DEFAULT"] = {**sections["DEFAULT"], "host": "hypervisor"}
    return sections


def _common(place: Place) -> Sections:
    return {
        "oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 60, "heartbeat_in_pthread": False},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_concurrency": {"lock_path": place.run / "lock"},
    }


def _database(place: Place, name: str) -> Mapping[str, object]:
    return {"connection": database_url(place, name), "max_pool_size": 10, "max_overflow": 20}


def _login(place: Place, user: str) -> Mapping[str, object]:
    return {
        "auth_type": "password",
        "auth_url": place.url("keystone", "/v3"),
        "username": user,
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def _token_check(place: Place, user: str) -> Mapping[str, object]:
    return {
        **_login(place, user),
        "www_authenticate_uri": place.url("keystone", "/v3"),
        "service_token_roles_required": True,
        "service_token_roles": "service",
        "token_cache_time": 60,
    }


def _save(place: Place, service: str, file: str, sections: Sections) -> None:
    directory = place.etc / service
    directory.mkdir(parents=True, exist_ok=True)
    (directory / file).write_text(ini(sections))
