"""A Django project that others wrote: where its code comes from, and the settings that it is deployed by."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

NAME, DOMAIN = "pretalx", "pretalx.test"
VERSION = "2025.2.2"  # 200 migrations, Celery, a static pipeline, translations that are compiled; not a line of ours
SETTINGS = f"""
OPENSTACK_SERVERS = {{"dbappbalancer": [("dbappbalancer1", "m1.small")], "tasknode": [("tasknode1", "m1.small")]}}
SITES["{NAME}"] = {{
    "repository": "{NAME}",
    "directory": "src",
    "requirements": "pyproject.toml",
    "extras": ["postgres", "redis"],
    "packages": ["gettext"],
    "build_commands": ["compilemessages"],
    "settings_module": "pretalx.settings",
    "wsgi": "pretalx.wsgi:application",
    "domains": ["{DOMAIN}"],
    "port": 8001,
    "workers": 2,
    "health_path": "/orga/login/",
    "health_timeout": 120,
    "database": "{NAME}",
    "celery": {{"app": "pretalx.celery_app", "queues": {{"celery": 1}}, "beat": False}},
    "environment": {{
        "PRETALX_SITE_URL": "${{SITE_URL}}",
        "PRETALX_DATA_DIR": "${{SITE_SHARED}}/data",
        "PRETALX_DB_TYPE": "postgresql",
        "PRETALX_DB_HOST": "${{DATABASE_HOST}}",
        "PRETALX_DB_PORT": "${{DATABASE_PORT}}",
        "PRETALX_DB_NAME": "${{DATABASE_NAME}}",
        "PRETALX_DB_USER": "${{DATABASE_USER}}",
        "PRETALX_DB_PASS": "${{DATABASE_PASSWORD}}",
        "PRETALX_REDIS": "${{CACHE_URL}}",
        "PRETALX_CELERY_BROKER": "${{BROKER_URL}}",
        "PRETALX_CELERY_BACKEND": "rpc://",
        "PRETALX_NO_INITIAL_LOG": "1",
    }},
}}
DATABASES["{NAME}"] = {{"owner": "{NAME}"}}
CRON = [{{"site": "{NAME}", "schedule": "*/15 * * * *", "command": "runperiodic"}}]
"""


def vendor(directory: Path) -> None:
    """Make a git repository in `directory` of what the package index has of it: unpacked, committed, nothing else."""
    wanted = ["--quiet", "--no-deps", "--no-binary", NAME, "--dest", str(directory.parent), f"{NAME}=={VERSION}"]
    subprocess.run([sys.executable, "-m", "pip", "download", *wanted], check=True, timeout=300)
    archive = directory.parent / f"{NAME}-{VERSION}.tar.gz"
    with tarfile.open(archive) as packed:
        packed.extractall(directory.parent, filter="data")
    archive.unlink()
    (directory.parent / f"{NAME}-{VERSION}").rename(directory)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    for words in (["init", "--quiet", "-b", "main"], ["add", "--all", "--force"], ["commit", "--quiet", "-m", VERSION]):
        subprocess.run(["git", "-C", str(directory), *who, *words], check=True, timeout=120)
