"""Deployments of one box and of several, in memory, with a settings.py that says the same."""

from __future__ import annotations

from pathlib import Path

from deploymachine.inventory import Inventory, Server
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from deploymachine.settings import load

SETTINGS = """
DEPLOYMENT = "mysite"
ADMIN_SSH_KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada"]
SITES = {{
    "blog": {{
        "repository": "blog",
        "wsgi": "blog.wsgi:application",
        "settings_module": "blog.settings",
        "database": "blog",
    }},
}}
DATABASES = {{"blog": {{"owner": "blog"}}}}
OPENSTACK_SERVERS = {{
{servers}
}}
"""


def deployment(directory: Path, more: str = "", **kinds: str) -> Deployment:
    """Servers by name -> type, booted a minute and more after each other. more: further lines of settings.py."""
    lines = [f'    "{kind}": [("{name}", "m1.small")],' for name, kind in kinds.items()]
    path = directory / "settings.py"
    path.write_text(SETTINGS.format(servers="\n".join(lines)) + more)
    servers = [
        Server(name, kind, f"10.0.0.{number}", id=name, created=f"2026-01-31T12:{2 * number:02}:00Z")
        for number, (name, kind) in enumerate(kinds.items(), 1)
    ]
    return Deployment(load(directory), Inventory(servers), Secrets(directory / "secrets.json"))
