"""Servers as they were seen in, what a person has to do about them out: one concern each, and how soon. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from deploymachine.inventory import moment
from deploymachine.servertypes import parts
from deploymachine.status.asking import ABSENT, Seen

NOW, SOON = "now", "soon"  # something does not work, or will not for long; the rest can wait for the morning
DISK_FULL, DISK_FILLING = 0.95, 0.85
MEMORY_FULL = 0.95
CERTIFICATE_NOW, CERTIFICATE_SOON = 7, 21  # days
BACKUP_HOURS = 26  # one a day, and the time that it takes
LAG_SECONDS = 60
DAY = 86_400


@dataclass(frozen=True)
class Concern:
    """grade: now or soon. about: the column it is shown in."""

    server: str
    about: str
    grade: str
    what: str
    do: str


def concerns(seen: Sequence[Seen], now: datetime) -> list[Concern]:
    """All of them, the urgent ones first."""
    found = [one for server in seen for one in _of_server(server, now)]
    found += [*_of_databases(seen), *_of_releases(seen)]
    return sorted(found, key=lambda one: (one.grade != NOW, one.server))


def _of_server(seen: Seen, now: datetime) -> Iterator[Concern]:
    if seen.answer is None:
        yield from _silent(seen)
        return
    for judge in JUDGES:
        for about, grade, what, do in judge(seen, seen.answer, now):
            yield Concern(seen.server.name, about, grade, what, do)


def _silent(seen: Seen) -> Iterator[Concern]:
    server = seen.server
    name, state = server.name, server.state
    if state == ABSENT:
        yield Concern(
            name, "state", SOON, "settings.py names it, but it was not booted", f"`fab openstack_boot {name}`"
        )
    elif state != "ACTIVE":
        todo = f"`fab openstack_boot {name}` starts or mends it"
        yield Concern(name, "state", SOON if state == "BUILD" else NOW, f"the cloud says that it is {state}", todo)
    elif not seen.provisioned and server.id:
        yield Concern(name, "reachable", SOON, "it is not provisioned yet", "`fab root provision`")
    elif seen.error is not None:
        why = f": {seen.error.why}" if seen.error.why else ""
        yield Concern(name, "reachable", NOW, _one_line(seen.error.what + why), _one_line(seen.error.hint or ""))


Judged = Iterator[tuple[str, str, str, str]]
Answer = Any


def _disks(seen: Seen, answer: Answer, _now: datetime) -> Judged:
    for disk in answer["disks"]:
        used = disk["used"] / disk["total"]
        what = "inodes" if disk["inodes"] > used else "disk"
        part = max(used, disk["inodes"])
        if part >= DISK_FILLING:
            todo = (
                f"`fab ssh {seen.server.name}`, then `sudo du -xh {disk['path']} | sort -h | tail`; or a larger flavor"
            )
            yield "disk", NOW if part >= DISK_FULL else SOON, f"{what} of {disk['path']} is {part:.0%} full", todo


def _memory(seen: Seen, answer: Answer, _now: datetime) -> Judged:
    part = answer["memory"]["used"] / answer["memory"]["total"]
    if part >= MEMORY_FULL:
        todo = f"`fab ssh {seen.server.name}`, then `ps aux --sort -rss | head`; or a larger flavor"
        yield "memory", NOW, f"{part:.0%} of the memory is in use", todo


def _services(seen: Seen, answer: Answer, _now: datetime) -> Judged:
    name, units = seen.server.name, answer["units"]
    for unit in units["failed"]:
        yield "services", NOW, f"{unit} has failed", f"`fab ssh {name}`, then `journalctl -u {unit} -n 50`"
    for unit in units["stopped"]:
        yield "services", NOW, f"{unit} does not run", f"`fab server:{name} kokki` starts it"
    if units["error"]:
        yield "services", NOW, f"systemd does not say what runs: {units['error']}", f"`fab server:{name} reboot`"
    for program in answer["programs"] or ():
        if program["state"] == "WAITING":
            yield "sites", SOON, f"{program['name']} waits for its first release", f"`fab {seen.server.type} launch`"
        elif program["state"] != "RUNNING":
            why = f" ({program['why']})" if program["why"] else ""
            todo = f"`fab logs --server {name} --since 1h --grep {program['name']}` says why"
            yield "services", NOW, f"{program['name']} is {program['state']}{why}", todo


def _sites(seen: Seen, answer: Answer, _now: datetime) -> Judged:
    for site in answer["sites"]:
        if not site["settled"]:
            what = f"a release of {site['name']} did not come to its end"
            yield "sites", NOW, what, f"`fab {seen.server.type} launch` finishes it"


def _database(seen: Seen, answer: Answer, now: datetime) -> Judged:
    name, kind, database = seen.server.name, seen.server.type, answer["database"]
    if database is None:
        return
    role = database["role"]
    if role == "stopped":
        yield "database", NOW, f"PostgreSQL does not answer: {database['why']}", f"`fab server:{name} kokki`"
    elif role == "retired" and "dbserver" in parts(kind):
        todo = "openstack_kill" if parts(kind) == ("dbserver",) else f"server:{name} postgresql.follow --server"
        yield "database", SOON, "another server has taken over from it", f"`fab {todo} {name}`"
    elif role == "replica" and not database["receiving"]:
        yield "database", NOW, "the replica receives nothing", f"`fab {kind} kokki`, then `fab logs --server {name}`"
    elif role == "replica" and (database["lag_seconds"] or 0) > LAG_SECONDS:
        what = f"the replica is {database['lag_seconds']:.0f} s behind"
        yield "database", SOON, what, f"look at its load and disk: `fab ssh {name}`"
    yield from _backup(seen, database, now)


def _backup(seen: Seen, database: Answer, now: datetime) -> Judged:
    backup = database["backup"]
    if backup is None or database["role"] != "primary":
        return
    todo = f"`fab server:{seen.server.name} postgresql.backup`"
    if backup.get("error"):
        yield "backup", SOON, f"no backup: {backup['error']}", todo
    elif (hours := (now.timestamp() - backup["ended"]) / 3600) > BACKUP_HOURS:
        yield "backup", NOW, f"the last backup is {hours:.0f} hours old", todo


def _certificates(seen: Seen, answer: Answer, now: datetime) -> Judged:
    for path, days in certificate_days(answer, now):
        if days is None:
            yield "certificate", NOW, f"{path} holds no certificate", f"`fab server:{seen.server.name} kokki`"
        elif days <= CERTIFICATE_SOON:
            what = f"{path} is good for {days} days more" if days >= 0 else f"{path} has run out"
            todo = f"`fab server:{seen.server.name} kokki` renews ours; bring a new one where it is yours"
            yield "certificate", NOW if days <= CERTIFICATE_NOW else SOON, what, todo


def _reboot(seen: Seen, answer: Answer, _now: datetime) -> Judged:
    if answer["reboot"]["required"]:
        names = ", ".join(answer["reboot"]["packages"][:3])
        what = "an upgrade takes effect by a reboot only" + (f": {names}" if names else "")
        yield "reboot", SOON, what, f"`fab server:{seen.server.name} reboot`"


def _cooked(seen: Seen, answer: Answer, _now: datetime) -> Judged:
    name, cooked, wanted = seen.server.name, answer["cooked"], seen.wanted
    todo = f"`fab server:{name} kokki`; with --dry-run it says what differs"
    if wanted.error is not None:
        yield "cooked", NOW, f"what it is to be can't be said: {wanted.error.what}", _one_line(wanted.error.hint or "")
    elif cooked is None or cooked["good"] is None:
        yield "cooked", SOON, "it was never cooked to the end", f"`fab {seen.server.type} launch`"
    elif cooked["state"] != "ok":
        yield "cooked", NOW, f"the last cook failed, {cooked['time']}", f"`fab server:{name} kokki`"
    elif cooked["good"]["fingerprint"] != wanted.fingerprint:
        yield "cooked", SOON, "settings, roles or other servers have changed since the last cook", todo
    elif cooked["good"]["bundle"] != wanted.bundle:
        yield "cooked", SOON, "cookbooks or deploymachine have changed since the last cook", todo


JUDGES: tuple[Callable[[Seen, Answer, datetime], Judged], ...] = (
    _services, _sites, _disks, _memory, _database, _certificates, _reboot, _cooked,
)  # fmt: skip


def certificate_days(answer: Answer, now: datetime) -> list[tuple[str, int | None]]:
    """(path, whole days that it is good for) of every certificate; None where there is none in the file."""
    from cryptography import x509

    found: list[tuple[str, int | None]] = []
    for one in answer["certificates"]:
        try:
            ends = x509.load_pem_x509_certificate(one["pem"].encode()).not_valid_after_utc
        except ValueError:
            found.append((one["path"], None))
        else:
            found.append((one["path"], int((ends - now).total_seconds() // DAY)))
    return found


def _of_databases(seen: Sequence[Seen]) -> Iterator[Concern]:
    """Nobody leads, or two do: what is written is lost, or goes different ways."""
    roles = {one.server.name: one.answer["database"]["role"] for one in seen if one.answer and one.answer["database"]}
    leading = sorted(name for name, role in roles.items() if role == "primary")
    keepers = [one for one in seen if "dbserver" in parts(one.server.type)]
    silent = "stopped" in roles.values() or any(one.answer is None for one in keepers)  # one of them may lead
    if roles and not leading and not silent:
        todo = "`fab server:NAME postgresql.promote` makes a replica the primary"
        yield Concern(min(roles), "database", NOW, "no database server leads", todo)
    for name in leading[1:]:
        todo = "`fab dbserver kokki` says which of them may follow"
        yield Concern(name, "database", NOW, f"{leading[0]} and {name} both lead", todo)


def _of_releases(seen: Sequence[Seen]) -> Iterator[Concern]:
    """Servers that have different releases of one site."""
    live: dict[str, dict[str, list[str]]] = {}
    for one in seen:
        for site in one.answer["sites"] if one.answer else ():
            if site["release"]:
                live.setdefault(site["name"], {}).setdefault(site["release"], []).append(one.server.name)
    for site, releases in live.items():
        for release in sorted(releases)[:-1]:
            newest = max(releases)
            for name in releases[release]:
                what = f"{site}: {release} is live here, {newest} elsewhere"
                yield Concern(name, "sites", SOON, what, f"`fab server:{name} launch`")


def age(written: str, now: datetime) -> float | None:
    """Seconds since a moment that the engine wrote down."""
    when = moment(written)
    return None if when is None else (now - when).total_seconds()


def today() -> datetime:
    return datetime.now(timezone.utc)


def _one_line(text: str) -> str:
    return " ".join(text.split())
