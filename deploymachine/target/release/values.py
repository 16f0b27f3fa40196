"""The request's JSON in, frozen values out: a site and where its things lie, a release, and a failure's words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
SHARED = {"media": "media", "static": "static"}


class Failure(Exception):  # noqa: N818 - the word that its event uses
    """What a user is told: what happened, why, where, what to do, and the last lines of the tool that refused.

    result: what the run hands back all the same (a switch that was put back says so).
    """

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        where: str = "",
        hint: str = "",
        command: str = "",
        exit_code: Optional[int] = None,
        output: Sequence[str] = (),
        result: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(what)
        self.what, self.why, self.where, self.hint = what, why, where, hint
        self.command, self.exit_code, self.output = command, exit_code, list(output)
        self.result: Dict[str, Any] = dict(result or {})

    @classmethod
    def of(cls, error: OSError, what: str = "The server can't do it") -> Failure:
        """The system's own refusal: disk full, no permission."""
        return cls(what, why=error.strerror or str(error), where=str(error.filename or ""))

    def error(self) -> Dict[str, Any]:
        """The `error` member of a step-done event."""
        return {"message": self.what, "command": self.command, "exit_code": self.exit_code, "output": self.output}


@dataclass(frozen=True)
class Site:
    """One Django site on this server. shared: link in the project -> directory under shared/ of all releases.

    extras: optional dependencies that are installed too. build_commands: what manage.py does besides in a build.
    serves: whether it answers visitors here. programs: supervisor's programs that do its tasks here: name, and node, by
    which Celery can be asked for it ("" for a beat).
    """

    name: str
    user: str
    root: Path
    bind: str
    wsgi: str
    settings_module: str
    directory: str = ""
    requirements: str = ""
    extras: Sequence[str] = ()
    build_commands: Sequence[Sequence[str]] = ()
    health_path: str = "/"
    health_timeout: float = 30
    migrate_timeout: Optional[float] = None
    host: str = "localhost"
    serves: bool = True
    celery_app: str = ""
    programs: Sequence[Mapping[str, Any]] = ()
    shared: Mapping[str, str] = field(default_factory=lambda: SHARED)
    python: str = "/usr/bin/python3"
    uv: str = "/opt/deploymachine/uv/bin/uv"
    pip_conf: str = "/etc/pip.conf"
    supervisor: str = "/run/supervisor.sock"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Site:
        """The site a request is about; keys a release has no use for are left alone. Raises Failure."""
        missing = [key for key in ("name", "user", "root", "bind", "wsgi", "settings_module") if not given.get(key)]
        if missing:
            raise Failure("The request does not describe the site", why=f"it lacks {', '.join(missing)}")
        known = {key: value for key, value in given.items() if key in cls.__dataclass_fields__ and value is not None}
        site = cls(**{**known, "root": Path(given["root"])})
        for key in (site.directory, site.requirements, *site.shared, *site.shared.values()):
            if Path(key).is_absolute() or ".." in Path(key).parts:
                raise Failure(
                    f"{key!r} leads out of the release of {site.name}", hint="give a path inside the repository"
                )
        return site

    @property
    def program(self) -> str:
        """The site's name among supervisor's programs."""
        return f"site-{self.name}"

    @property
    def repository(self) -> Path:
        return self.root / "repo.git"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def venvs(self) -> Path:
        return self.root / "venvs"

    def release(self, name: str) -> Path:
        """Where the release of that name lies. Raises Failure for a name that is no plain file name."""
        if not NAME.fullmatch(name):
            raise Failure(f"{name!r} is not the name of a release")
        return self.releases / name

    def project(self, name: str) -> Path:
        """The directory of manage.py in that release."""
        return self.release(name) / self.directory


@dataclass(frozen=True)
class Release:
    """One release as it lies on the server. time: UTC, ISO 8601. fingerprint: of the settings it was built by."""

    name: str
    sha: str
    ref: str = ""
    time: str = ""
    fingerprint: str = ""
    venv: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Release:
        known = {
            key: str(value) for key, value in given.items() if key in cls.__dataclass_fields__ and value is not None
        }
        release = cls(**{"name": "", "sha": "", **known})
        if not NAME.fullmatch(release.name) or not SHA.fullmatch(release.sha):
            raise Failure(
                "The request does not describe the release", why=f"name {release.name!r}, commit {release.sha!r}"
            )
        return release


def bind_address(bind: str) -> Tuple[str, int]:
    """The address a check can connect to: "0.0.0.0:80" is asked at the loopback."""
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104 - read, not bound
