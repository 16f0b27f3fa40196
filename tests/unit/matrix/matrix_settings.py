"""The settings of the matrix: two sites with a database each, one of them with tasks, and a command of CRON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from deploymachine import authority, certificates
from deploymachine.settings import Settings, load

REPOSITORY = Path(__file__).parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMM6WRl5ANn/AlL6Gj779gjxuGed9gZMmcVOW4oIlDmD ada"
SETTINGS = f"""
DEPLOYMENT = "mysite"
OPENSTACK_SERVERS = {{"dbappbalancer": [("dbappbalancer1", "m1.small")]}}
ADMIN_SSH_KEYS = ["{KEY}"]
SITES = {{
    name: {{"repository": name, "wsgi": name + ".wsgi:application", "settings_module": name + ".settings",
            "database": name, "port": port, "domains": [name + ".example"], "celery": celery}}
    for name, port, celery in (("blog", 8000, {{"app": "blog", "beat": True}}), ("shop", 8001, None))
}}
DATABASES = {{"blog": {{"owner": "blog"}}, "shop": {{"owner": "shop"}}}}
CRON = [{{"site": "blog", "schedule": "@daily", "command": "clearsessions"}}]
"""


@contextmanager
def matrix_settings(directory: Path) -> Iterator[Settings]:
    """What certificates say is tested elsewhere: here each is made once."""
    (directory / "settings.py").write_text(SETTINGS)
    (directory / "kokki-config.yaml").write_text((REPOSITORY / "kokki-config.yaml.dist").read_text())
    pair = cache(lambda name: {"certificate": f"certificate of {name}", "key": f"key of {name}"})
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DEPLOYMACHINE_SETTINGS", raising=False)
        patch.setattr(certificates, "of", lambda name, _deployment: pair(name))
        patch.setattr(authority, "certificate", lambda _deployment: "authority")
        patch.setattr(
            authority, "server_certificate", lambda server, _deployment: {"authority": "authority", **pair(server.name)}
        )
        yield load(directory)
