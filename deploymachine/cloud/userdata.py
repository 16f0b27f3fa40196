"""A host key and the administrators' keys in, the cloud-config that cloud-init applies at the first boot out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass(frozen=True)
class HostKey:
    """An SSH host key made here, so that the server is known before the first contact."""

    public: str  # "ssh-ed25519 AAAA..."
    private: str = field(repr=False)  # OpenSSH's own format


def new_host_key() -> HostKey:
    """A fresh ed25519 key."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return HostKey(public.decode(), private.decode())


def cloud_config(name: str, host_key: HostKey, admin_keys: Iterable[str]) -> str:
    """The user-data of server `name`: root logs in with the admin keys, and only `host_key` identifies the server."""
    config: dict[str, Any] = {
        "hostname": name,
        "prefer_fqdn_over_hostname": False,
        "disable_root": False,  # provisioning begins as root and closes that door behind it
        "ssh_pwauth": False,
        "ssh_authorized_keys": list(admin_keys),
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": f"{host_key.public} {name}"},
    }
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False, width=1000)
