"""Databases that were given up to another server: two files in, by which nobody writes to them, and the way back out.

The note tells systemd, cooks and us that another server has them now. PostgreSQL's own standby.signal makes of whoever
starts it all the same, in whatever way, a server that can't be written to. Both outlive a loss of power.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from typing import Any, Dict

from kokki import process
from release.steps import Steps
from release.values import Failure

from database import cluster
from database.cluster import RETIRED, Cluster

DROP_IN = "/etc/systemd/system/postgresql@.service.d/deploymachine-retired.conf"
OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "cookbooks/postgresql/files/retired.conf")
TABLE = "deploymachine_fence"
NOTE = "Another server keeps these databases now.\n"
RULES = """table inet {table}
delete table inet {table}
table inet {table} {{
  chain input {{
    type filter hook input priority filter - 10; policy accept;
    iifname != "lo" tcp dport {port} reject with tcp reset
  }}
}}
"""


def put(here: Cluster, lsn: int, to: str) -> None:
    """Give the databases up, written up to there and no further, to the server of that name."""
    _write_durably(RETIRED, f"{NOTE}{json.dumps({'lsn': lsn, 'to': to})}\n")
    _write_durably(f"{here.data}/standby.signal", "", "postgres")


def lift(here: Cluster) -> None:
    """Take them back. Only for whoever knows that nobody else leads."""
    with suppress(FileNotFoundError):
        os.unlink(f"{here.data}/standby.signal")
    reopen(here)


def reopen(here: Cluster) -> None:
    """Nothing keeps PostgreSQL from being started any more; what becomes of its data is not touched."""
    with suppress(FileNotFoundError):
        os.unlink(RETIRED)
    _open(here)
    start_by_itself(here, "auto")


def _open(here: Cluster) -> None:
    """Port and unit, for whatever is there or will be."""
    process.run(["nft", "delete", "table", "inet", TABLE])
    if os.path.islink(f"/etc/systemd/system/{here.unit}"):
        process.run(["systemctl", "unmask", here.unit])


def close_port(port: int) -> None:
    """Refuse whoever wants to connect from elsewhere, without delay."""
    process.run(["nft", "-f", "-"], stdin=RULES.format(table=TABLE, port=port))


def make_plain(here: Cluster) -> None:
    """Have people and systemd see it, too; it holds without."""
    start_by_itself(here, "disabled")
    process.run(["systemctl", "mask", here.unit])
    process.run(["systemctl", "reset-failed", here.unit])


def noted(here: Cluster) -> Dict[str, Any]:
    """lsn: up to where the log of what was given up goes. to: who has it now; not told by one that found out itself."""
    with open(RETIRED) as file:
        text = file.read()
    with suppress(IndexError, ValueError):
        return dict(json.loads(text.splitlines()[1]))
    return {"lsn": end_of_log(here)}


def prepare() -> None:
    """A cook brings the file by which systemd heeds the note; a server that was not cooked since has it from now on."""
    if not os.path.exists(DROP_IN):
        os.makedirs(os.path.dirname(DROP_IN), exist_ok=True)
        shutil.copyfile(OURS, DROP_IN)
        process.run(["systemctl", "daemon-reload"])


def rejoin(steps: Steps) -> Dict[str, Any]:
    """Have what was given up follow, where the next cook says whom: it has all that its successor began with."""
    with steps.step("rejoin") as step:
        here = cluster.here()
        if os.path.exists(RETIRED):
            if not here.is_replica():  # one that was given up before there was this second file
                _write_durably(f"{here.data}/standby.signal", "", "postgres")
            reopen(here)
            step.changed("what was given up may follow")
    return {}


def discard(steps: Steps) -> Dict[str, Any]:
    """Remove data that were given up, and those kept aside, for good. The note stays. Raises Failure for any other."""
    with steps.step("discard") as step:
        here = cluster.here()
        if not os.path.exists(RETIRED):
            raise Failure("The databases here were not given up", why="nothing says that another server has them")
        if here.running():
            raise Failure("PostgreSQL runs, though it was given up")
        folder = os.path.dirname(here.data)
        gone = [name for name in os.listdir(folder) if name == "main" or name.startswith("main.")]
        for name in gone:
            shutil.rmtree(f"{folder}/{name}")
        _open(here)  # without data there is nothing to keep shut, and this server may keep databases again one day
        step.changed(", ".join(sorted(gone)) or "nothing was left")
    return {"removed": sorted(gone)}


def end_of_log(here: Cluster) -> int:
    """Where the stopped cluster's last checkpoint stands, in bytes of log."""
    where = control(here).get("Latest checkpoint location")
    if where is None:
        raise Failure("pg_controldata does not say where the log ends")
    high, _, low = where.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def control(here: Cluster) -> Dict[str, str]:
    """What pg_controldata tells of the cluster."""
    told = cluster.run([here.program("pg_controldata"), "-D", here.data], "pg_controldata can't read the cluster")
    pairs = (line.partition(":") for line in told.splitlines())
    return {key: value.strip() for key, colon, value in pairs if colon}


def start_by_itself(here: Cluster, how: str) -> None:
    """auto, or disabled: whether Debian starts it at the boot."""
    with open(here.start_conf, "w") as file:
        file.write(f"# deploymachine\n{how}\n")
    process.run(["systemctl", "daemon-reload"])


def _write_durably(path: str, text: str, owner: str = "root") -> None:
    """It is there when this returns, whatever becomes of the power."""
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        os.chmod(temporary, 0o600)
        shutil.chown(temporary, owner, owner)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
