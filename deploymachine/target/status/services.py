"""What should run and does not: systemd's units and supervisor's programs."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional

from status.children import Command, Ended

SOCKET = os.environ.get("DEPLOYMACHINE_SUPERVISOR", "/run/supervisor.sock")
LIST = "list-units --all --plain --no-legend --no-pager --full --type=service,timer,mount,socket"
# What recipes start and nobody stops for long. Of the rest only what has failed is told.
KEPT_UP = (
    "fail2ban", "nftables", "nginx", "pgbouncer", "rabbitmq-server", "redis-server", "rsyslog", "ssh", "supervisor",
)  # fmt: skip
WANTED_BY = ("etc/systemd/system/multi-user.target.wants", "run/systemd/generator/postgresql.service.wants")
ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
NO_RELEASE_YET = 75  # exit status of a site's program that has nothing to run


def commands() -> Dict[str, Command]:
    return {"units": Command(["systemctl", *LIST.split()])}


def units(ended: Mapping[str, Ended]) -> Dict[str, Any]:
    """failed: names of units that have; stopped: of services that are to run and don't. error: where nobody tells."""
    listed = ended["units"]
    if listed.code != 0:
        return {"failed": [], "stopped": [], "error": listed.why or f"systemctl: exit code {listed.code}"}
    rows = [line.split(None, 4)[:4] for line in listed.output.splitlines()]
    states = {row[0]: (row[2], row[3]) for row in rows if len(row) == 4}
    failed = [name for name, (active, sub) in states.items() if active == "failed" or sub == "auto-restart"]
    stopped = [name for name in wanted() if states.get(name, ("inactive", ""))[0] in ("inactive", "deactivating")]
    return {"failed": sorted(failed), "stopped": sorted(stopped), "error": ""}


def wanted() -> List[str]:
    """The services of ours that systemd starts at boot."""
    found = (name for folder in WANTED_BY for name in _names(os.path.join(ROOT, folder)))
    return sorted({name for name in found if name.partition(".")[0] in KEPT_UP or name.startswith("postgresql@")})


def programs() -> Optional[List[Dict[str, Any]]]:
    """Supervisor's: name, state ("WAITING": for its first release), why. None: there is no supervisor."""
    if not os.path.exists(SOCKET):
        return None
    from release.account import Account
    from release.supervisor import told
    from release.values import Failure

    try:
        listed = told(SOCKET, Account("root", 0, 0, drop=False))
    except Failure as failure:
        return [{"name": "supervisor", "state": "SILENT", "why": failure.why or failure.what}]
    return [_program(one) for one in listed]


def _program(info: Mapping[str, Any]) -> Dict[str, Any]:
    waits = info["statename"] == "EXITED" and info["exitstatus"] == NO_RELEASE_YET
    state = "WAITING" if waits else info["statename"]
    return {"name": info["name"], "state": state, "why": info["spawnerr"] or info["description"]}


def _names(folder: str) -> List[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
