"""The only maker of connections: pinned host keys, our keys only, and one function run on many servers at once."""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deploymachine import adminkeys
from deploymachine.errors import (
    ConnectError,
    DeployMachineError,
    HostKeyError,
    LoginError,
    SeveralErrors,
    UnknownHostKeyError,
)
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server

if TYPE_CHECKING:
    import paramiko

    from deploymachine.settings import Settings

MOST_AT_ONCE = 32
KEX_FIRST = (
    "curve25519-sha256"  # costs 58 ms of CPU less than the post-quantum default and is safe for what travels here
)
# A peer that is gone without a word is noticed after a minute; elsewhere than on Linux the system's own times hold.
DEAD_PEER = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))
ASK_AGAIN_AFTER = (0.3, 1.0)  # seconds
T = TypeVar("T")


@dataclass(frozen=True)
class Login:
    """As whom and where: root on 22 before provisioning, the deploy user on SSH_PORT after."""

    user: str
    port: int


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What one server's turn came to: a value, or the error that ended it."""

    server: Server
    value: T | None = None
    error: DeployMachineError | None = None


def root_login() -> Login:
    return Login("root", 22)


def login(server: Server, settings: Settings) -> Login:
    """How to log in at a provisioned server: as the deploy user on SSH_PORT, unless SERVERS says otherwise."""
    return Login(server.user or settings.DEPLOY_USERNAME, server.port or settings.SSH_PORT)


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit code and what it said."""

    code: int
    output: str
    errors: str


class Connection:
    """One authenticated connection to a server, and how it was made; a context manager."""

    def __init__(self, server: Server, client: paramiko.SSHClient, login: Login, settings: Settings) -> None:
        self.server, self.login, self.settings = server, login, settings
        self._client = client
        _open_connections.add(self)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, command: str, terminal: tuple[str, int, int] | None = None) -> paramiko.Channel:
        """Start `command` (a line for the login shell) on a channel of its own. Raises ConnectError.

        terminal: its kind, columns and lines, where the command gets one.
        """
        transport = self._client.get_transport()
        if transport is None:
            raise cut(self.server)
        try:
            channel = transport.open_session()
            if terminal is not None:
                channel.get_pty(*terminal)
            channel.exec_command(command)
        except broken() as error:
            raise cut(self.server, error) from None
        return channel

    def run(self, command: Sequence[str]) -> Completed:
        """Run an argv list with nothing on its stdin and wait for its end. Raises ConnectError."""
        channel = self.open(shlex.join(command))
        try:
            channel.shutdown_write()
            output, errors = (stream.read().decode(errors="replace") for stream in _streams(channel))
            return Completed(channel.recv_exit_status(), output, errors)
        except broken() as error:
            raise cut(self.server, error) from None

    def close(self) -> None:
        """End the connection; safe to call twice and from another thread."""
        _open_connections.discard(self)
        self._client.close()


def _streams(channel: paramiko.Channel) -> Iterator[Any]:
    yield from (channel.makefile("rb"), channel.makefile_stderr("rb"))


_open_connections: set[Connection] = set()


def cut(server: Server, error: Exception | None = None) -> ConnectError:
    """The error for a connection that ended before its work did."""
    return ConnectError(
        f"The connection to {server.name} was cut",
        where=server.where,
        why=str(error or "") or "the server or the network closed it",
        hint="what had begun on the server ends there in good order; run the same command again to finish it",
    )


def connect(server: Server, login: Login, settings: Settings) -> Connection:
    """Log in with a key of ours at a server whose host key is pinned. Raises ConnectError or HostKeyError.

    A server that drops the connection before it has looked at our key, as a just booted sshd may, is asked again.
    """
    for pause in (*ASK_AGAIN_AFTER, None):
        try:
            return _log_in(server, login, settings)
        except broken() as error:
            if pause is None or not _dropped(error):
                raise _refused(server, login, error) from None
            time.sleep(pause)
    raise AssertionError  # the last turn returns or raises


def _log_in(server: Server, login: Login, settings: Settings) -> Connection:
    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    _pin(client, server, login, settings)
    keys = _our_keys(login, settings)
    sock = _socket(server, login, settings)
    try:
        client.connect(
            server.address,
            port=login.port,
            username=login.user,
            sock=sock,
            auth_strategy=keys,
            banner_timeout=settings.SSH_CONNECT_TIMEOUT,
            auth_timeout=settings.SSH_CONNECT_TIMEOUT,
            transport_factory=_transport,  # type: ignore[arg-type] # its options pass through
        )
    except BaseException:
        client.close()
        sock.close()
        raise
    return Connection(server, client, login, settings)


def _dropped(error: Exception) -> bool:
    """Was the connection dropped before anybody looked at a key?"""
    import paramiko

    return not isinstance(error, (paramiko.AuthenticationException, paramiko.BadHostKeyException))


def _our_keys(login: Login, settings: Settings) -> paramiko.auth_strategy.AuthStrategy:
    """Offers the keys that ADMIN_SSH_KEYS names and we hold; no others, since servers count the tries."""
    import paramiko
    from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey

    keys = held_keys(settings)

    class OurKeys(AuthStrategy):
        def get_sources(self) -> Iterator[AuthSource]:
            return (InMemoryPrivateKey(login.user, key) for key in keys)

    return OurKeys(ssh_config=paramiko.SSHConfig())


def held_keys(settings: Settings) -> list[paramiko.PKey]:
    """The administrators' keys that are held here: the agent's, else those in files. Raises LoginError for none."""
    import paramiko

    wanted = {_decoded(line.split()[1]) for line in adminkeys.read(settings)}
    agent = {key.asbytes(): key for key in paramiko.Agent().get_keys() if key.asbytes() in wanted}
    files = [_from_file(path) for path in _private_paths(settings) if not agent]
    keys = [*agent.values(), *(key for key in files if key is not None)]
    if not keys:
        raise LoginError(
            "You hold none of the keys that may log in",
            where=", ".join(settings.ADMIN_SSH_KEYS),
            why="neither your SSH agent nor a file beside them has the private half unlocked",
            hint="`ssh-add` your key once, or name one of yours in ADMIN_SSH_KEYS and have somebody cook the servers",
        )
    return keys


def _private_paths(settings: Settings) -> list[Path]:
    """The private halves at hand of the files that ADMIN_SSH_KEYS names."""
    entries = (entry for entry in settings.ADMIN_SSH_KEYS if entry.endswith(".pub"))
    named = (settings.directory / Path(entry).expanduser() for entry in entries)
    return [path.with_suffix("") for path in named if path.with_suffix("").is_file()]


def _from_file(path: Path) -> paramiko.PKey | None:
    """The key, or None where it asks for a passphrase."""
    import paramiko

    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError):
        return None
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise ConnectError("Your private key can't be read", where=str(path), why=str(error)) from None


def _transport(sock: socket.socket, **options: object) -> paramiko.Transport:
    import logging

    import paramiko

    log = logging.getLogger("paramiko")
    if not log.handlers:  # our errors say it all; without a handler Python would print its tracebacks as well
        log.addHandler(logging.NullHandler())
    transport = paramiko.Transport(sock, **options)  # type: ignore[arg-type]
    security = transport.get_security_options()
    security.kex = sorted(security.kex, key=lambda name: not name.startswith(KEX_FIRST))
    return transport


def _pin(client: paramiko.SSHClient, server: Server, login: Login, settings: Settings) -> None:
    import paramiko

    keys = HostKeys(settings)
    line = keys.get(server.address, login.port)
    if line is None and not server.id:  # not booted by us: what the user's own ssh knows is as good
        line = keys.known_to_user(server.address, login.port)
    if line is None:
        raise UnknownHostKeyError(
            f"No host key is known for {server.name}",
            where=f"{server.address} port {login.port}",
            why="keys are pinned when deploymachine boots a server; an unknown one is never accepted on sight",
            hint="the cloud's metadata holds none for it, either: run it where the server was booted,\n"
            "or bring that directory's .deploymachine/known_hosts here"
            if server.id
            else f"log in once by hand, `ssh -p {login.port} {login.user}@{server.address}`, and check its key",
        )
    kind, data = line.split()[:2]
    name = server.address if login.port == 22 else f"[{server.address}]:{login.port}"
    client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, _decoded(data)))


def _decoded(data: str) -> bytes:
    import base64

    return base64.b64decode(data)


def _socket(server: Server, login: Login, settings: Settings) -> socket.socket:
    try:
        sock = socket.create_connection((server.address, login.port), timeout=settings.SSH_CONNECT_TIMEOUT)
    except OSError as error:
        raise ConnectError(
            f"{server.name} does not answer on port {login.port}",
            where=f"{server.address} port {login.port}",
            why=error.strerror or "no answer in time" if isinstance(error, TimeoutError) else str(error),
            hint="`fab openstack_list` shows whether it runs; a security group or firewall may keep this machine out",
        ) from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle against delayed ACK costs 40 ms a message
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in DEAD_PEER:
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return sock


def broken() -> tuple[type[Exception], ...]:
    """What Paramiko raises, wherever it is, when the connection is gone."""
    import paramiko

    return (EOFError, OSError, paramiko.SSHException)


def _refused(server: Server, login: Login, error: Exception) -> DeployMachineError:
    import paramiko

    where = f"{login.user}@{server.address} port {login.port}"
    if isinstance(error, paramiko.BadHostKeyException):
        return HostKeyError(
            f"{server.name} shows another host key than the one that is pinned; it was not logged into",
            where=where,
            why=f"pinned {_fingerprint(error.expected_key)}, shown {_fingerprint(error.key)}:\n"
            "the server was rebuilt, or somebody stands in between",
            hint=f"if you know why it changed (it was provisioned from another machine, say), remove {server.name}\n"
            "from .deploymachine/known_hosts: what the cloud knows as its key is pinned then;\n"
            f"else `fab openstack_kill {server.name}` and boot it again"
            if server.id
            else f"if you know why it changed, remove {server.name} from .deploymachine/known_hosts,\n"
            "check the new key and log in once by hand",
        )
    if isinstance(error, paramiko.AuthenticationException):
        return LoginError(
            f"{server.name} does not let {login.user} in with your key",
            where=where,
            why="the server does not know it for this user",
            hint="ADMIN_SSH_KEYS in settings.py must name the key you use (`ssh-add -L` lists those your agent holds)",
        )
    return ConnectError(f"{server.name} could not be logged into", where=where, why=str(error) or type(error).__name__)


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def on_each(servers: Sequence[Server], fn: Callable[[Server], T]) -> list[Outcome[T]]:
    """Run `fn` for every server at once and return every outcome, in the servers' order.

    One server's failure stops nobody else. Ctrl-C closes all connections, waits for the threads and is raised again.
    """
    if not servers:
        return []
    with ThreadPoolExecutor(max_workers=min(len(servers), MOST_AT_ONCE)) as pool:
        futures = [pool.submit(_outcome, server, fn) for server in servers]
        try:
            return [future.result() for future in futures]
        except KeyboardInterrupt:
            for future in futures:
                future.cancel()
            close_all()
            raise


def close_all() -> None:
    """Close every open connection: runs on servers see it and stop in good order."""
    for connection in list(_open_connections):
        with contextlib.suppress(Exception):
            connection.close()


def _outcome(server: Server, fn: Callable[[Server], T]) -> Outcome[T]:
    try:
        return Outcome(server, fn(server))
    except DeployMachineError as error:
        return Outcome(server, error=error)
    except Exception as error:
        return Outcome(server, error=internal(error, server.where))


def internal(error: Exception, where: str | None = None) -> DeployMachineError:
    """A fault of our own, told like any other error."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    return DeployMachineError(
        "deploymachine itself failed",
        where=where,
        why=f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})",
        hint="this is a bug of deploymachine: please report it with this text",
    )


def values(outcomes: Sequence[Outcome[T]]) -> list[T]:
    """What every server's turn came to. Raises the one error, or all of them as SeveralErrors."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralErrors(errors)
    return [outcome.value for outcome in outcomes if outcome.value is not None]
