"""Sites and servers in; out comes what lies and runs there, who holds the locks, what was done: nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploymachine import ssh
from deploymachine.cook import ask, sudo_password
from deploymachine.errors import DeployMachineError
from deploymachine.inventory import Server
from deploymachine.leading import nodes
from deploymachine.servertypes import Deployment, tasknode

Row = tuple[str, ...]
RELEASES = ("server", "site", "release", "commit", "from", "built", "")
STATUS = ("server", "site", "serves", "works", "lock", "since", "message")
AUDIT = ("time", "server", "site", "did", "ended", "release", "before", "by", "message")


@dataclass(frozen=True)
class Answer:
    """What one server told of one site, or why it told nothing."""

    server: Server
    site: str
    told: Mapping[str, Any]
    error: DeployMachineError | None = None


def answers(
    sites: Iterable[str], servers: Sequence[Server], deployment: Deployment, action: str, **more: Any
) -> list[Answer]:
    """Ask every server about each of the sites that it does work of, over one connection each, all at once."""
    wanted = {site: nodes(site, servers, deployment) for site in sites}

    def one(server: Server) -> list[Answer]:
        mine = [site for site in wanted if server in wanted[site]]
        with ssh.connect(server, ssh.login(server, deployment.settings), deployment.settings) as there:
            password = sudo_password(server, deployment)
            return [Answer(server, site, ask(there, request(site, server), password)) for site in mine]

    def request(site: str, server: Server) -> dict[str, Any]:
        described = {**tasknode.release_attributes(site, server, deployment), "environment": None}
        return {"command": "release", "action": action, "host": server.name, "site": described, **more}

    able = [server for server in servers if any(server in there for there in wanted.values())]
    found: list[Answer] = []
    for outcome in ssh.on_each(able, one):
        silent = Answer(outcome.server, "", {}, outcome.error)
        found += [silent] if outcome.value is None else outcome.value
    return found


def raised(found: Sequence[Answer]) -> None:
    """Raise what kept servers from answering, if anything did."""
    ssh.values([ssh.Outcome[None](answer.server, error=answer.error) for answer in found if answer.error is not None])


def release_rows(found: Sequence[Answer]) -> Iterator[Row]:
    """A row a release, newest first."""
    for answer in found:
        live = str((answer.told.get("current") or {}).get("name", ""))
        marks = {live: "live", str(answer.told.get("previous") or ""): "previous"}
        for one in reversed(answer.told.get("releases", ())):
            name = one["name"]
            built = one.get("time", "").replace("T", " ").rstrip("Z")
            mark = marks.get(name, "")
            yield answer.server.name, answer.site, name, one["sha"][:8], one.get("ref", ""), built, mark


def status_rows(found: Sequence[Answer]) -> Iterator[Row]:
    """A row a server and site: what it serves, whether that works, and who holds the lock."""
    for answer in found:
        if answer.error is not None:
            yield answer.server.name, "", "", "?", f"does not answer: {answer.error.what}", "", ""
            continue
        live = str((answer.told.get("current") or {}).get("name", "nothing"))
        works = "yes" if answer.told.get("healthy") else "no"
        yield answer.server.name, answer.site, live, works, *lock_told(answer.told.get("lock"))


def lock_told(lock: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """(who holds it and whether they live, since when, why)."""
    if not lock:
        return "free", "", ""
    life = (
        "" if lock["kind"] == "manual" else f", heard of {lock['age']:.0f} s ago" + ("" if lock["alive"] else ": dead")
    )
    return f"{lock['kind']} by {lock['owner']}{life}", plain(lock["time"]), plain(lock["message"])


def audit_rows(found: Sequence[Answer], count: int) -> list[Row]:
    """The last `count` lines of all servers together, oldest first."""
    entries = [(answer.server.name, entry) for answer in found for entry in answer.told.get("entries", ())]
    entries.sort(key=lambda pair: str(pair[1].get("time", "")))
    return [_audit_row(server, entry) for server, entry in entries[-count:]]


def _audit_row(server: str, entry: Mapping[str, Any]) -> Row:
    def said(key: str) -> str:
        return plain(str(entry.get(key) or ""))

    words = " ".join(part for part in (said("message"), said("why")) if part)
    done = (said("action"), said("state"), said("release"), said("from"), said("by"))
    return said("time"), server, said("site"), *done, words


def plain(text: str) -> str:
    """In one line, and without what could play tricks on a terminal."""
    from deploymachine.logs import CONTROLS

    return " ".join(text.split()).translate(CONTROLS)
