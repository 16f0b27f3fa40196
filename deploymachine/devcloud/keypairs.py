"""A public key line goes in, its fingerprint comes out; or a new pair, made as Nova makes one."""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from deploymachine.devcloud.state import Keypair, Refused


def imported(name: str, public_key: str) -> Keypair:
    """Raises Refused for what is no public key."""
    try:
        load_ssh_public_key(public_key.encode())
        blob = base64.b64decode(public_key.split()[1])
    except (ValueError, IndexError, binascii.Error, UnsupportedAlgorithm) as error:
        raise Refused(400, "Keypair data is invalid: failed to generate fingerprint") from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()  # the fingerprint Nova has always shown
    return Keypair(name, public_key, ":".join(digest[at : at + 2] for at in range(0, 32, 2)))


def generated(name: str) -> tuple[Keypair, str]:
    """The pair and its private key in OpenSSH's PEM, which is told once and not kept."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return imported(name, f"{public.decode()} Generated-by-Nova"), private.decode()
