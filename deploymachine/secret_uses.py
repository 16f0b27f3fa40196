"""The name of a secret in; what it is for, who uses it, and where it is kept out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploymachine.errors import UsageError
from deploymachine.secrets import FORMER, NEXT, NOTE, Secrets
from deploymachine.settings import Settings

NAME = re.compile(r"[a-z][a-z0-9_-]{0,99}")
# What our own are called, what they are for, and how they are rotated: see `rotation_plans`.
OURS = (
    (r"deploy-password", "sudo on the servers", "sudo"),
    (r"deploy-password-hash", "the same, as servers know it", ""),
    (r"database-replication", "dbservers that copy another", "replication"),
    (r"database-(?P<of>.+)", "the databases of {of}", "database"),
    (r"site-(?P<of>.+)-secret-key", "SECRET_KEY of {of}", "site-key"),
    (r"site-(?P<of>.+)-tls-key", "the self-signed certificate of {of}", "site-tls"),
    (r"server-(?P<of>.+)-tls-key", "what proves {of} to its peers", "server-tls"),
    (r"cache", "the sites' cache", "cache"),
    (r"cache-keeper", "telling a cachenode whom to copy", "cache-replica"),
    (r"cache-replica", "cachenodes that copy another", "cache-replica"),
    (r"broker-(?P<of>.+)", "the broker, for {of}", "broker"),
    (r"deploy-key-(?P<of>.+)", "fetching the code of {of}", ""),
    (r"authority-key", "the deployment's own authority", ""),
    (r"backup-cipher", "backups in object storage", ""),
)


@dataclass(frozen=True)
class Described:
    """kept: in the file, or where else. state: a rotation that is not over; "" where there is none."""

    name: str
    kept: str
    what: str
    state: str


def described(settings: Settings, secrets: Secrets) -> list[Described]:
    """Every secret there is, or is asked for, by name; none of their values."""
    known, users = secrets.file.read(), of_sites(settings)
    for webhook in settings.NOTIFY:
        users.setdefault(webhook.secret, []).append("a webhook of NOTIFY")
    here = {name for name in known if not name.startswith(NOTE) and "." not in name}
    found = []
    for name in sorted({*here, *secrets.sources, *users}):
        what = kind(name)[0] or ", ".join(users.get(name, ["nothing in settings.py"]))
        state = "a new one waits" if f"{name}{NEXT}" in known else ""
        state = "the former one holds, too" if f"{name}{FORMER}" in known else state
        found.append(Described(name, _kept(name, here, secrets), what, state))
    return found


def _kept(name: str, here: set[str], secrets: Secrets) -> str:
    source = secrets.sources.get(name)
    if source is None:
        return "the file" if name in here else "nowhere yet"
    return f"environment: {source.environment}" if source.command is None else f"command: {source.command[0]}"


def kind(name: str) -> tuple[str, str, str]:
    """(what it is for, how it is rotated, whose it is) of one of ours; three empty texts for others."""
    for pattern, what, how in OURS:
        if (found := re.fullmatch(pattern, name)) is not None:
            of = found.groupdict().get("of", "")
            return what.format(of=of), how, of
    return "", "", ""


def of_sites(settings: Settings) -> dict[str, list[str]]:
    """Secret -> the variables of sites that are to hold it."""
    found: dict[str, list[str]] = {}
    for site, one in settings.SITES.items():
        for variable, value in one.environment.items():
            if not isinstance(value, str):
                found.setdefault(value.secret, []).append(f"{variable} of {site}")
    return found


def check_name(name: str) -> None:
    """Raises UsageError for what can't be a secret's name."""
    if not NAME.fullmatch(name):
        why = "it is lower-case letters, digits, - and _; a letter first"
        raise UsageError(f"{name!r} can't be a secret's name", why=why)


def refuse_to_set(name: str) -> None:
    """Raises UsageError for those that servers know: another value here alone would shut somebody out."""
    if kind(name)[0]:
        hint = f"`fab secrets.rotate {name} --given`"
        raise UsageError(f"{name} is not set, it is rotated", why="servers know it", hint=hint)
