"""settings.py in, frozen and checked Settings out; a bad key is named with its path and a suggestion."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from deploymachine.errors import SettingsError
from deploymachine.settings_base import Network, Window
from deploymachine.settings_build import BuildCommand, DebianPackage, Extra, Fetch, MigrateTimeout
from deploymachine.settings_build import check as check_build
from deploymachine.settings_database import BackupS3, Connections, Database
from deploymachine.settings_file import environment_of, execute, refuse_twins, settings_path, state_directory
from deploymachine.settings_notify import ProtectedName, Webhook
from deploymachine.settings_releases import Batch
from deploymachine.settings_secrets import Recipient, SecretName, SecretSource, Variable, VariableName
from deploymachine.settings_servers import (
    BootedServer,
    FixedServer,
    Frozen,
    Identifier,
    ImageChoice,
    Name,
    Names,
    Port,
)
from deploymachine.settings_tasks import Celery, Cron
from deploymachine.settings_web import Certificate, Directory, Email, Megabytes, RateLimit
from deploymachine.settings_web import check as check_web

Dotted = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
WsgiPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
Hostname = Annotated[str, StringConstraints(pattern=rf"^{LABEL}(\.{LABEL})*$", max_length=253)]


class Site(Frozen):
    """One Django project: where its code is, and how it is run. The keys are explained in settings.py.dist."""

    repository: str
    branch: str = "main"
    directory: str = ""
    domains: tuple[Hostname, ...] = ()
    wsgi: WsgiPath
    settings_module: Dotted
    requirements: str = "requirements.txt"
    port: Annotated[int, Field(ge=1024, le=65535)] = 8000
    health_path: Annotated[str, StringConstraints(pattern=r"^/[^\s?#]*$")] = "/healthz"
    health_timeout: Annotated[int, Field(ge=1, le=600)] = 30
    database: Identifier | None = None
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    memory_mb: Annotated[int, Field(ge=64)] | None = None
    celery: Celery | None = None
    certificate: Certificate = "self-signed"
    body_size_mb: Megabytes = 20
    rate_limit: RateLimit | None = None
    maintenance_page: Annotated[str, Field(min_length=1)] | None = None
    extras: tuple[Extra, ...] = ()
    packages: tuple[DebianPackage, ...] = ()
    build_commands: tuple[BuildCommand, ...] = ()
    migrate_timeout: MigrateTimeout | None = 900
    fetch: Fetch = "auto"
    environment: dict[VariableName, Variable] = Field(default={})

    @field_validator("directory", "requirements")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in Path(value).parts:
            raise ValueError("is a path inside the repository: neither absolute nor with '..'")
        return value


class Settings(Frozen):
    """Everything settings.py may say. `directory` is where settings.py lies: relative paths start there.

    environment: NAME where it is settings_NAME.py. between: they are of a deployment in the middle of a change, where
    doors of before and of afterwards are open.
    """

    directory: Path
    environment: str | None = None
    between: bool = False
    DEPLOYMENT: Name
    PRODUCTION: bool = True
    SECRETS: dict[SecretName, SecretSource] = Field(default={})
    SECRETS_RECIPIENTS: tuple[Recipient, ...] = ()
    SECRETS_IDENTITY: str | None = None
    OPENSTACK_CLOUD: str | None = None
    OPENSTACK_IMAGE: ImageChoice = "debian-13"
    OPENSTACK_NETWORK: Names = ()
    OPENSTACK_FLOATING_IP_POOL: str | None = None
    OPENSTACK_ZONES: tuple[str, ...] = ()
    OPENSTACK_ANTI_AFFINITY: Literal["soft", "hard"] | None = "soft"
    OPENSTACK_BAKED_IMAGES: bool = True
    OPENSTACK_BOOT_TIMEOUT: Annotated[int, Field(ge=10, le=3600)] = 300
    OPENSTACK_SERVERS: dict[str, tuple[BootedServer, ...]] = Field(default={})
    SERVERS: dict[str, tuple[FixedServer, ...]] = Field(default={})
    SSH_PORT: Port = 2222
    SSH_CONNECT_TIMEOUT: Annotated[float, Field(gt=0, le=120)] = 10.0
    SSH_USER_KNOWN_HOSTS: str | None = None
    DEPLOY_USERNAME: Identifier = "deploy"
    ADMIN_SSH_KEYS: tuple[str, ...]
    BASE_PACKAGES: tuple[str, ...] = ()
    FAIL2BAN_IGNORE: tuple[Network, ...] = ()
    REBOOT_WINDOW: Window = None
    SITES: dict[Name, Site] = Field(default={})
    DATABASES: dict[Identifier, Database] = Field(default={})
    DATABASE_CONNECTIONS: Connections = 100
    BACKUP_S3: BackupS3 | None = None
    CRON: tuple[Cron, ...] = ()
    BATCH: Batch = (1, "25%", "100%")
    NOTIFY: tuple[Webhook, ...] = ()
    PROTECTED: tuple[ProtectedName, ...] = ()
    ACME_EMAIL: Email | None = None
    ACME_DIRECTORY: Directory | None = None
    ACME_CA: str | None = None
    PRIVATE_TLS: bool = True
    EXTRA_CA_CERTIFICATES: tuple[str, ...] = ()
    PIP_INDEX_URL: str | Literal["controller"] | None = None
    APT_PROXY: str | Literal["controller"] | None = None
    KOKKI_CONFIG: str = "kokki-config.yaml"
    LOG_RETENTION_DAYS: Annotated[int, Field(ge=1, le=3650)] = 30
    LOG_RETENTION_MB: Annotated[int, Field(ge=10)] = 5000

    @field_validator("SSH_PORT")
    @classmethod
    def _not_22(cls, port: int) -> int:
        if port in (22, 80, 443):
            raise ValueError(f"{port} is taken: 22 is closed by provisioning, 80 and 443 are the loadbalancer's")
        return port

    @field_validator("ADMIN_SSH_KEYS")
    @classmethod
    def _somebody_gets_in(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if not keys:
            raise ValueError("is empty: nobody could log in")
        return keys

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        self._check_servers()
        self._check_sites()
        self._check_cron()
        self._check_notify()
        return self

    def _check_servers(self) -> None:
        names = [server.name for servers in self.OPENSTACK_SERVERS.values() for server in servers]
        names += [server.name for servers in self.SERVERS.values() for server in servers]
        if not names:
            raise ValueError("OPENSTACK_SERVERS names no server, nor does SERVERS")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"OPENSTACK_SERVERS, SERVERS: {', '.join(twice)} stands there twice; a name is one server's"
            )

    def _check_sites(self) -> None:
        ports: dict[int, str] = {}
        for name, site in self.SITES.items():
            if site.database is not None and site.database not in self.DATABASES:
                close = _suggest(site.database, self.DATABASES)
                raise ValueError(f"SITES[{name!r}]['database']: {site.database!r} is not in DATABASES{close}")
            if site.port in ports:
                raise ValueError(f"SITES[{name!r}]['port']: {site.port} is the port of {ports[site.port]!r} already")
            ports[site.port] = name
        check_web(self.SITES, self.ACME_EMAIL)
        check_build(self.SITES)

    def _check_cron(self) -> None:
        names: dict[str, int] = {}
        for number, job in enumerate(self.CRON):
            if job.site not in self.SITES:
                raise ValueError(
                    f"CRON[{number}]['site']: {job.site!r} is not in SITES{_suggest(job.site, self.SITES)}"
                )
            if job.name in names:
                raise ValueError(f"CRON[{number}]: {job.site} does {job.command!r} in CRON[{names[job.name]}] already")
            names[job.name] = number

    def _check_notify(self) -> None:
        for number, webhook in enumerate(self.NOTIFY):
            for site in webhook.sites:
                if site not in self.SITES:
                    raise ValueError(f"NOTIFY[{number}]['sites']: {site!r} is not in SITES{_suggest(site, self.SITES)}")

    @property
    def state(self) -> Path:
        """What deploymachine keeps between two runs: known_hosts, secrets, certificates."""
        return state_directory(self.directory, self.environment)

    def server_names(self) -> dict[str, tuple[str, str]]:
        """Server name -> (type, flavor), as OPENSTACK_SERVERS says."""
        return {name: (kind, server.flavor) for name, (kind, server) in self.booted().items()}

    def booted(self) -> dict[str, tuple[str, BootedServer]]:
        """Server name -> (type, what to boot), as OPENSTACK_SERVERS says."""
        return {one.name: (kind, one) for kind, servers in self.OPENSTACK_SERVERS.items() for one in servers}

    @property
    def private_network(self) -> str | None:
        """The network whose addresses the servers know each other by; None: the only one there is."""
        return next(iter(self.OPENSTACK_NETWORK), None)


def load(directory: Path) -> Settings:
    """Read and check the settings of the deployment in `directory`. Raises SettingsError."""
    path = settings_path(directory)
    names = {key: value for key, value in execute(path).items() if key.isupper()}
    _check_server_types(path, names)
    try:
        found = Settings(directory=path.parent.resolve(), environment=environment_of(path), **names)
    except ValidationError as error:
        raise _explained(path, error) from None
    refuse_twins(path, found.DEPLOYMENT)
    return found


def _check_server_types(path: Path, names: dict[str, Any]) -> None:
    from deploymachine import servertypes

    for setting in ("OPENSTACK_SERVERS", "SERVERS"):
        servers = names.get(setting)
        for kind in servers if isinstance(servers, dict) else ():
            if kind not in servertypes.names():
                raise SettingsError(
                    f"{setting}: unknown server type {kind!r}{_suggest(str(kind), servertypes.names())}",
                    where=str(path),
                    hint=f"the types are {', '.join(servertypes.names())}",
                )


def _explained(path: Path, error: ValidationError) -> SettingsError:
    problems = [_problem(detail) for detail in error.errors(include_url=False, include_input=True)]
    return SettingsError(
        problems[0],
        where=str(path),
        hint="settings.py.dist explains every setting",
        evidence=[f"also: {other}" for other in problems[1:]],
    )


def _problem(detail: Any) -> str:
    path = _path_text(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown setting {path}{_suggest(str(detail['loc'][-1]), _known_keys(detail['loc']))}"
    if detail["type"] == "missing":
        return f"{path} is missing"
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if path else message
    secret = "SECRETS_RECIPIENTS" in path  # where an identity may stand by mistake
    found = "" if secret else f" (it is {detail['input']!r})"
    return f"{path}: {message}{found}" if path else message


def _path_text(loc: tuple[int | str, ...]) -> str:
    """The setting as one would write it: SITES['blog']['wsgi']."""
    return "".join(f"[{part!r}]" if index else str(part) for index, part in enumerate(loc) if part != "[key]")


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    inner: dict[str, type[Frozen]] = {
        "SITES": Site,
        "DATABASES": Database,
        "BACKUP_S3": BackupS3,
        "SERVERS": FixedServer,
        "OPENSTACK_SERVERS": BootedServer,
        "CRON": Cron,
        "SECRETS": SecretSource,
        "NOTIFY": Webhook,
    }
    model = inner.get(str(loc[0]), Settings) if len(loc) > 1 else Settings
    model = Celery if "celery" in loc[2:-1] else RateLimit if "rate_limit" in loc[2:-1] else model
    return [key for key in model.model_fields if model is not Settings or key.isupper()]


def _suggest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1) or difflib.get_close_matches(
        word.upper(), list(known), n=1
    )
    return f"; did you mean {close[0]!r}?" if close else ""
