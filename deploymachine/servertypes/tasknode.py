"""tasknode: what the sites do when nobody waits: Celery's workers, one beat, CRON; RabbitMQ on the first of them."""

from __future__ import annotations

from typing import Any

from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, _database, _private, appnode, broker, parts
from deploymachine.servertypes._site import cron, is_first, place
from deploymachine.settings import Settings

LETS_IN = ("dbserver", "cachenode", "broker", "tasknode")


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    if broker.node(deployment) is None:
        raise UsageError(
            f"{server.name} has nobody to take tasks from",
            why="settings.py names a broker, but there is none yet",
            hint="`fab openstack_bootem`, then provision it and `fab broker launch`",
        )
    sites = [name for name in deployment.settings.SITES if runs(name, server, deployment)]
    return {
        "celery.sites": [release_attributes(name, server, deployment) for name in sites],
        "django.cron": cron(server, deployment),
        **_private.trust(deployment),
        **_database.pooler(server, deployment),
        "gunicorn.memory_mb": server.memory_mb or None,
        **broker.attributes(server, deployment),
    }


def keeps(server: Server, deployment: Deployment) -> str:
    return broker.keeps(server, deployment)


def openings(settings: Settings) -> list[Opening]:
    """RabbitMQ's where it may be here, also while a broker of its own takes over: until then tasks are handed in."""
    return broker.openings(settings) if settings.between or not broker.has_own(settings) else []


def runs(site: str, server: Server, deployment: Deployment) -> bool:
    """Whether the server does work of the site: serves it, has workers for it, or runs its CRON."""
    kinds, settings = parts(server.type), deployment.settings
    tasks = settings.SITES[site].celery is not None or (
        is_first(server, deployment) and any(job.site == site for job in settings.CRON)
    )
    return "appnode" in kinds or ("tasknode" in kinds and tasks)


def release_attributes(site: str, server: Server, deployment: Deployment) -> dict[str, Any]:
    """What a release needs to know of a site on a server: as on an appnode, and the programs for its tasks."""
    kinds, celery = parts(server.type), deployment.settings.SITES[site].celery
    return {
        **appnode.site_attributes(site, server, deployment),
        "serves": "appnode" in kinds,
        "celery_app": celery.app if celery is not None else "",
        "programs": _programs(site, server, deployment) if "tasknode" in kinds else [],
    }


def program_names(site: str, server: Server, deployment: Deployment) -> list[str]:
    """What supervisor calls the site's programs on a server, the one that serves it first."""
    kinds = parts(server.type)
    tasks = _programs(site, server, deployment) if "tasknode" in kinds else []
    return [f"site-{site}"] * ("appnode" in kinds) + [one["name"] for one in tasks]


def workers(site: str, deployment: Deployment) -> list[str]:
    """The names by which the site's workers can be asked, on all servers."""
    servers = deployment.inventory.serving("tasknode")
    return [one["node"] for server in servers for one in _programs(site, server, deployment) if one["node"]]


def _programs(site: str, server: Server, deployment: Deployment) -> list[dict[str, Any]]:
    """A worker for each queue, named so that it can be asked; and the beat, on the first node."""
    celery = deployment.settings.SITES[site].celery
    if celery is None:
        return []
    start = f"celery --app {celery.app}"
    found = [_worker(site, start, queue, count, server) for queue, count in celery.queues.items()]
    if celery.beat and is_first(server, deployment):
        schedule = f"{place(site)['root']}/shared/celerybeat-schedule"
        command = f"{start} beat --schedule {schedule} --pidfile= --loglevel INFO"
        found.append({"name": f"beat-{site}", "node": "", "command": command})
    return found


def _worker(site: str, start: str, queue: str, count: int, server: Server) -> dict[str, Any]:
    node = f"{site}.{queue}@{server.name}"
    command = f"{start} worker --queues {queue} --concurrency {count} --hostname {node} --loglevel INFO"
    # What workers tell each other costs queues and a second at the start, and nothing here listens.
    return {
        "name": f"celery-{site}-{queue}",
        "node": node,
        "command": f"{command} --without-gossip --without-mingle",
        "processes": count,
    }
