"""A program's name in, its state and log out, and the orders start, restart, reload: over supervisor's own XML-RPC."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from release.account import Account
from release.health import ASKED_BY
from release.tools import telling
from release.values import Failure

ALREADY_STARTED, NOT_RUNNING, BAD_NAME = 60, 70, 10
KILLED = -1  # supervisor's exit status of what a signal ended
TIMEOUT = 120  # seconds: a stop waits for the requests under way
# BACKOFF too: what ended right after its start will do so again, and every try costs visitors a second.
DEAD = frozenset({"FATAL", "EXITED", "STOPPED", "UNKNOWN", "BACKOFF"})


@dataclass(frozen=True)
class State:
    """What supervisor knows. state: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL or UNKNOWN."""

    state: str
    pid: int = 0
    why: str = ""

    @property
    def running(self) -> bool:
        return self.state in ("RUNNING", "STARTING")

    @property
    def dead(self) -> bool:
        return self.state in DEAD


class Program:
    """One program of the supervisor at that socket. Every method raises Failure when supervisor does not obey."""

    def __init__(self, name: str, path: str, account: Account) -> None:
        self.name = name
        self.path = path
        self.account = account

    def state(self) -> State:
        info = self._call("getProcessInfo", self.name)
        return State(info["statename"], info["pid"], info["spawnerr"])

    def start(self) -> None:
        self._call("startProcess", self.name, False, tolerate=ALREADY_STARTED)

    def stop(self, *, wait: bool = True) -> None:
        self._call("stopProcess", self.name, wait, tolerate=NOT_RUNNING)

    def was_killed(self) -> bool:
        """Whether it did not end by itself, as a stopped program should within its time."""
        return bool(self._call("getProcessInfo", self.name)["exitstatus"] == KILLED)

    def restart(self) -> None:
        self.stop()
        self.start()

    def end(self) -> None:
        """Have the program end by itself, when it is done with what it has begun."""
        self._call("signalProcess", self.name, "TERM")

    def reload(self) -> None:
        """Have the program take new workers onto the code that is there now."""
        self._call("signalProcess", self.name, "HUP")

    def log_lines(self, count: int = 20) -> List[str]:
        """The last lines the program wrote, stdout's before stderr's; none where it keeps no log."""
        text = ""
        for method in ("readProcessStdoutLog", "readProcessStderrLog"):
            with suppress(Failure):
                text += str(self._call(method, self.name, -8000, 0))
        # What our own asking left in an access log says nothing that the answer did not.
        return telling("\n".join(line for line in text.splitlines() if ASKED_BY not in line), count)

    def _call(self, method: str, *arguments: object, tolerate: Optional[int] = None) -> Any:
        try:
            return _ask(self.path, self.account, method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == tolerate:
                return None
            raise self._refused(method, fault) from None

    def _refused(self, method: str, fault: xmlrpc.client.Fault) -> Failure:
        if fault.faultCode == BAD_NAME:
            return Failure(f"supervisor knows no program {self.name}", hint="cook the server first, then release")
        return Failure(f"supervisor refuses {method} for {self.name}", why=str(fault.faultString))


def programs(path: str, account: Account) -> List[str]:
    """The names of all programs of the supervisor at that socket. Raises Failure where it does not answer."""
    return [str(info["name"]) for info in told(path, account)]


def told(path: str, account: Account) -> List[Dict[str, Any]]:
    """What it knows of each of its programs, in its own words. Raises Failure where it does not answer."""
    return list(_ask(path, account, "getAllProcessInfo"))


def _ask(path: str, account: Account, method: str, *arguments: object) -> Any:
    """What supervisor answers. Raises Fault where it refuses, Failure where it does not answer."""
    with account.lifted():
        server = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(path))
        try:
            with server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Failure("supervisor does not answer", where=path, why=why, hint="cook the server first") from None


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        del host  # whatever the URL says, the socket is the address
        return _Connection(self.path)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.path)
        except OSError:
            self.sock.close()
            raise


def children(pid: int) -> frozenset[int]:
    """The processes whose parent is `pid`: gunicorn's workers."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.add(int(path.parent.name))
    return frozenset(found)


def working_directory(pid: int) -> Optional[Path]:
    """Where a process stands; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None
