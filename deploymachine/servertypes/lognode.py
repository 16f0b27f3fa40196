"""lognode: the logs of every server, taken in by rsyslog over TLS from servers of ours only, and kept for a while."""

from __future__ import annotations

from typing import Any

from deploymachine import servertypes
from deploymachine.inventory import Server
from deploymachine.servertypes import Deployment, Opening, _logs, open_to
from deploymachine.settings import Settings


def attributes(server: Server, deployment: Deployment) -> dict[str, Any]:
    return {
        "logs.senders": {peer.name: peer.private_ip for peer in deployment.inventory if peer.private_ip},
        "logs.listen_address": server.private_ip,
        "logs.retention_days": deployment.settings.LOG_RETENTION_DAYS,
        "logs.retention_mb": deployment.settings.LOG_RETENTION_MB,
    }


def keeps(_server: Server, _deployment: Deployment) -> str:
    return "the logs it has taken in"


def openings(settings: Settings) -> list[Opening]:
    plain = [kind for kind in servertypes.names() if servertypes.parts(kind) == (kind,)]
    return [open_to(kind, _logs.PORT, f"logs of every {kind}") for kind in plain]
