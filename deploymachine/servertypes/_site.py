"""A site's name in, where it lies on a server out; and which one server does what must not be done twice."""

from __future__ import annotations

import shlex
from typing import Any

from deploymachine import schedules
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment


def place(name: str) -> dict[str, str]:
    """The system user of a site and the directory that it owns."""
    return {"user": f"site-{name}", "root": f"/srv/sites/{name}"}


def is_first(server: Server, deployment: Deployment) -> bool:
    """Whether it is the one server for CRON and beats: the first tasknode, or where there is none the first appnode."""
    return server == deployment.first("tasknode", "appnode")


def cron(server: Server, deployment: Deployment) -> list[dict[str, Any]]:
    """CRON as the one server that runs it cooks it; [] on all others."""
    return [
        {
            "name": job.name,
            **place(job.site),
            "calendar": schedules.calendar(job.schedule),
            "command": shlex.split(job.command),
        }
        for job in (deployment.settings.CRON if is_first(server, deployment) else ())
    ]
