"""A site in, the key by which its servers fetch its code out: made on first use, kept among the secrets, only lent.

The private half reaches a server inside the request that fetches, and goes from there into an agent of that one git: it
is in no file. Whoever keeps the repository is given the public half, to let it read.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploymachine.errors import ReleaseError, SettingsError
from deploymachine.secrets import Secret

if TYPE_CHECKING:
    from deploymachine.secrets import Secrets

SSH = "ssh -o BatchMode=yes -o IdentityFile=none -o StrictHostKeyChecking=yes"
# The key comes on stdin; what follows finds it in its agent, which ends with it.
LENT = ("ssh-agent", "sh", "-c", 'ssh-add -q - && exec "$@" </dev/null', "sh")
COMMENT = re.compile(r"[^A-Za-z0-9._@-]+")


@dataclass(frozen=True)
class DeployKey:
    """A key for one site's repository. known_hosts: the lines by which its host is known."""

    site: str
    private: Secret
    public: str
    known_hosts: str = ""


@contextmanager
def lent(key: DeployKey | None) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """(words in front of a git command that gets the key on stdin, its environment); nothing where there is no key."""
    if key is None:
        yield (), {}
        return
    with tempfile.NamedTemporaryFile("w", prefix="deploymachine-", encoding="utf-8") as hosts:
        hosts.write(key.known_hosts)
        hosts.flush()
        yield LENT, {"GIT_SSH_COMMAND": f"{SSH} -o UserKnownHostsFile={shlex.quote(hosts.name)}"}


def name_of(site: str) -> str:
    """What the key is called among the secrets."""
    return f"deploy-key-{site}"


def deploy_key(site: str, deployment_name: str, secrets: Secrets) -> DeployKey:
    """The key of the site; made, where there is none. Raises SettingsError where the secret is no key."""
    # Where it comes from elsewhere its last line may have lost its end, without which ssh does not know it.
    private = Secret(str.rstrip(secrets.made_by(name_of(site), _made)) + "\n")
    return DeployKey(site, private, f"{_public(site, private)} {COMMENT.sub('-', f'{deployment_name}-{site}')}")


def replace(site: str, secrets: Secrets) -> None:
    """Have another key from now on; the former one is good for nothing any more as soon as nobody lets it in."""
    secrets.set(name_of(site), _made())


def known_hosts(url: str, files: tuple[Path, ...] | None = None) -> str:
    """The lines of this user's known_hosts for the host of an SSH URL. Raises ReleaseError where there is none.

    files: where to look; None: where ssh does.
    """
    host, port = host_of(url)
    called = host if port == 22 else f"[{host}]:{port}"
    home = Path.home() / ".ssh"
    lines: list[str] = []
    for path in files or (home / "known_hosts", home / "known_hosts2", Path("/etc/ssh/ssh_known_hosts")):
        done = subprocess.run(
            ["ssh-keygen", "-F", called, "-f", str(path)], capture_output=True, text=True, timeout=30, check=False
        )
        lines += [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    if not lines:
        raise ReleaseError(
            f"Nobody here knows the host key of {called}",
            where=url,
            why="it is not in your known_hosts, and the servers must not trust whoever answers",
            hint=f"`ssh {'' if port == 22 else f'-p {port} '}{host}` once; is the key that it shows the one published?",
        )
    return "".join(f"{line}\n" for line in lines)


def host_of(url: str) -> tuple[str, int]:
    """(host, port) of ssh://user@host:port/path, or of user@host:path."""
    if "://" in url:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or 22
    return url.partition(":")[0].rpartition("@")[2], 22


def _made() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


def _public(site: str, private: str) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(str.encode(private), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(
            f"The secret {name_of(site)!r} is not the private half of an SSH key without a passphrase",
            hint=f"`fab git.deploy_key --site {site} --rotate` makes another one",
        ) from None
    encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return encoded.decode()
