"""The servers there are in, an OpenSSH configuration out with which plain `ssh appnode1` logs in, strictly checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine import ssh
from deploymachine.errors import SettingsError
from deploymachine.inventory import Server
from deploymachine.ssh import Login

if TYPE_CHECKING:
    from deploymachine.settings import Settings


def path(settings: Settings) -> Path:
    """Where it is kept; a link where the user wants it elsewhere."""
    return settings.state / "ssh_config"


def write(settings: Settings, servers: Iterable[Server], elsewhere: Path | None = None) -> Path:
    """Write it, from now on to `elsewhere` where that is given; the file it went to. Raises SettingsError."""
    place = path(settings)
    target = elsewhere.expanduser().absolute() if elsewhere else Path(os.path.realpath(place))
    text = text_of(settings, servers)
    temporary = target.with_name(f".{target.name}.deploymachine")
    try:
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, parents=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o600)
        temporary.replace(target)
        _remember(place, target)
    except OSError as error:
        raise SettingsError("The ssh configuration can't be written", where=str(target), why=error.strerror) from None
    return target


def _remember(place: Path, target: Path) -> None:
    """Have `place` lead to `target`, so that whoever keeps it up finds it."""
    if Path(os.path.realpath(place)) != Path(os.path.realpath(target)):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)


def text_of(settings: Settings, servers: Iterable[Server]) -> str:
    """The file's text. Every server is asked where it answers: on 22 as root until it is provisioned."""
    reachable = [server for server in servers if server.address]
    logins = _logins(settings, reachable)
    lines = [f"# The servers of {settings.DEPLOYMENT}, kept by deploymachine: `fab ssh_config --write` makes it anew."]
    for server in reachable:
        lines += ["", *_host(settings, server, logins[server.name])]
    return "\n".join(lines) + "\n"


def include_line(target: Path) -> str:
    """What a user writes into ~/.ssh/config once."""
    return f"Include {_quoted(target)}"


def _logins(settings: Settings, servers: list[Server]) -> Mapping[str, Login]:
    from deploymachine.cloud.banner import answering_port

    def one(server: Server) -> Login:
        usual = ssh.login(server, settings)
        bare = server.id and answering_port(server.address, (22, usual.port)) == 22
        return ssh.root_login() if bare else usual

    return {outcome.server.name: outcome.value for outcome in ssh.on_each(servers, one) if outcome.value is not None}


def _host(settings: Settings, server: Server, login: Login) -> Iterator[str]:
    known = [_quoted(settings.state / "known_hosts"), *([] if server.id else ["~/.ssh/known_hosts"])]
    yield f"Host {server.name} {server.name}.{settings.DEPLOYMENT}"
    yield f"  HostName {server.address}"
    yield f"  Port {login.port}"
    yield f"  User {login.user}"
    yield f"  UserKnownHostsFile {' '.join(known)}"
    if server.id:  # booted by us, so that nobody else says which key it has
        yield "  GlobalKnownHostsFile /dev/null"
    yield "  StrictHostKeyChecking yes"
    yield "  UpdateHostKeys no"
    identities = list(_identities(settings))
    yield from (f"  IdentityFile {_quoted(identity)}" for identity in identities)
    if identities:
        yield "  IdentitiesOnly yes"


def _identities(settings: Settings) -> Iterator[Path]:
    """The private halves at hand of our keys; where one is not, the public one: an agent may hold the other half."""
    for entry in settings.ADMIN_SSH_KEYS:
        public = settings.directory / Path(entry).expanduser()
        if entry.endswith(".pub") and public.is_file():
            yield public.with_suffix("") if public.with_suffix("").is_file() else public


def _quoted(file: Path) -> str:
    """As ssh_config wants a path: `%` doubled, since it begins a token, and in quotes where there is a blank."""
    text = str(file).replace("%", "%%")
    return f'"{text}"' if " " in text or "#" in text else text
