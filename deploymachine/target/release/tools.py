"""An argv list in, its output out: tools run as the site's user, in a clean environment, for a bounded time."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from configparser import ConfigParser, Error
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Mapping, Optional

from release.account import Account
from release.values import Failure, Site

LAST_LINES = 25
GRACE = 10  # seconds for what was told to end by itself
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
URL_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
SECRET_NAME = re.compile(r"SECRET|PASS|TOKEN|KEY|DSN|CREDENTIAL|_URL$|^URL", re.IGNORECASE)


@dataclass(frozen=True)
class Tools:
    """How commands run for one site."""

    account: Account
    environment: Mapping[str, str]

    @classmethod
    def of(cls, site: Site, account: Account) -> Tools:
        """What a tool gets to see: no variable of the calling session but the proxies."""
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(site.root),
            "USER": account.name,
            "LOGNAME": account.name,
            "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(site.root / ".cache"),
            **{name: os.environ[name] for name in PROXIES if name in os.environ},
        }
        if Path(CA_BUNDLE).exists():
            environment["SSL_CERT_FILE"] = CA_BUNDLE
        return cls(account, environment)

    def run(
        self,
        argv: List[str],
        *,
        cwd: Path,
        what: str,
        env: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = 1800,
        hint: str = "",
        late: Optional[Callable[[], Optional[str]]] = None,
        given: Optional[str] = None,
    ) -> str:
        """Run one command and return what it printed (stdout). `what` is the failure's sentence. Raises Failure.

        late: called when the time is up; has the command end by itself and says why it took so long, or returns None.
        given: what it reads on its stdin.
        """
        process = self._start(argv, cwd, what, env, subprocess.DEVNULL if given is None else subprocess.PIPE)
        try:
            out, err = process.communicate(given, timeout=timeout)
        except subprocess.TimeoutExpired:
            told = late() if late is not None else None
            text = _stopped(process, GRACE if told is not None else 0)
            why = f"it was stopped after {timeout:g} s" + (f": {told}" if told else "")
            raise self._failure(what, argv, text, why, None, hint) from None
        except BaseException:
            _end(process)
            raise
        if process.returncode:
            raise self._failure(what, argv, out + err, "", process.returncode, hint)
        return out

    def _start(
        self, argv: List[str], cwd: Path, what: str, env: Optional[Mapping[str, str]], stdin: int
    ) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                argv,
                cwd=cwd,
                env={**self.environment, **(env or {})},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that a timeout ends the tool's own children too
                **self.account.child(),
            )
        except OSError as error:
            raise Failure(what, why=f"{argv[0]} does not start: {error.strerror}", command=shlex.join(argv)) from None

    def _failure(self, what: str, argv: List[str], text: str, why: str, code: Optional[int], hint: str) -> Failure:
        lines = telling(text)
        why = why or (lines[-1].strip() if lines else f"exit code {code}")
        return Failure(what, why=why, command=shlex.join(argv), exit_code=code, output=lines, hint=hint)


def telling(text: str, count: int = LAST_LINES) -> List[str]:
    """The last lines of an output that say something: neither empty nor a traceback's underlining."""
    return [line.rstrip() for line in text.splitlines() if line.strip(" ~^\t")][-count:]


def _stopped(process: subprocess.Popen[str], grace: float) -> str:
    """What the process printed, once it has ended: by itself within `grace` seconds, or killed."""
    with suppress(subprocess.TimeoutExpired):
        return "".join(process.communicate(timeout=grace))
    _end(process)
    return "".join(process.communicate())


def _end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def with_site(tools: Tools, site: Site, venv: Path) -> Tools:
    """Tools as the site itself runs: with its environment file and its virtualenv."""
    variables = read_environment(site.root / "shared" / "env")
    environment = {
        **tools.environment,
        "DJANGO_SETTINGS_MODULE": site.settings_module,
        **variables,
        "PATH": f"{venv / 'bin'}:{tools.environment['PATH']}",
        "VIRTUAL_ENV": str(venv),
    }
    return Tools(tools.account, environment)


def read_environment(path: Path) -> Dict[str, str]:
    """NAME='value' lines as a shell and systemd read them; no file, no variables."""
    try:
        words = shlex.split(path.read_text(encoding="utf-8"), comments=True)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise Failure("The site's environment file can't be read", where=str(path), why=str(error)) from None
    pairs = (word.partition("=") for word in words if "=" in word)
    return {name: value for name, _, value in pairs}


def secrets(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The values whose names say that nobody should read them, and the passwords inside URLs; longest first."""
    found = {value for name, value in variables.items() if SECRET_NAME.search(name)}
    found |= {match[1] for value in variables.values() for match in URL_PASSWORD.finditer(value)}
    return tuple(sorted((value for value in found if len(value) >= 6), key=len, reverse=True))


def uv_environment(site: Site, more_indexes: Iterable[str] = ()) -> Dict[str, str]:
    """uv's variables: pip's own index and certificates, which uv does not read by itself."""
    pip = _pip_options(site.pip_conf)
    words = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join([*pip.get("extra-index-url", "").split(), *more_indexes]),
        "UV_FIND_LINKS": ",".join([*pip.get("find-links", "").split(), *_wheels(site)]),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "SSL_CERT_FILE": pip.get("cert", ""),
    }
    return {
        "UV_CACHE_DIR": str(site.root / ".cache" / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_COMPILE_BYTECODE": "1",
        "NO_COLOR": "1",
        **{name: value for name, value in words.items() if value},
    }


def _wheels(site: Site) -> List[str]:
    """Where wheels lie that this server or another of the fleet has built."""
    folder = site.root / ".cache" / "wheels"
    return [str(folder)] if folder.is_dir() else []


def _pip_options(path: str) -> Dict[str, str]:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path)
    except Error as error:
        raise Failure("pip's configuration can't be read", where=path, why=str(error)) from None
    sections = [parser[name] for name in ("global", "install") if name in parser]
    return {key: value for section in sections for key, value in section.items()}
