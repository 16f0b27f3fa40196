"""Settings in, a Connection that has a token out: credentials are found where every OpenStack user has them."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from deploymachine.cloud.lookup import suggestion
from deploymachine.cloud.patience import make_patient
from deploymachine.cloud.words import HINT_TLS, HINT_UNREACHABLE, explained, hint, status_of, words
from deploymachine.errors import CloudError
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.config import OpenStackConfig
    from openstack.config.cloud_region import CloudRegion
    from openstack.connection import Connection

LOGIN_TIMEOUT = 15.0  # seconds for one answer of Keystone: an address that swallows packets is named soon
CALL_TIMEOUT = 90.0  # seconds for one answer of any other service
DEVCLOUD = "devcloud"  # what `deploymachine init --devcloud` names the cloud of this machine
NO_KEYSTONE = "What answers at auth_url is no Keystone"
HINT_URL = "auth_url in clouds.yaml (or OS_AUTH_URL) is Keystone's address and mostly ends in /v3"
HINT_CREDENTIALS = (
    "put a clouds.yaml beside settings.py or into ~/.config/openstack/ and name the cloud in OPENSTACK_CLOUD"
    " (or OS_CLOUD), or source your provider's openrc file; on this machine alone `fab devcloud_up` makes a cloud"
)


def log_in(settings: Settings) -> Connection:
    """Find the cloud the settings mean and log in to it. Raises CloudError."""
    from openstack.connection import Connection

    # Our errors say it all; without a handler Python would print the libraries' warnings as well.
    for library in ("keystoneauth", "openstack"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    # Nor can a user do anything about what the SDK deprecates within itself.
    warnings.filterwarnings("ignore", module=r"openstack\.")
    connection = Connection(config=_region(settings))
    _authenticate(connection)
    make_patient(connection)  # only now: a wrong address is told at once
    return connection


def config_files(settings: Settings) -> list[str]:
    """Where clouds.yaml is looked for, first wins: beside settings.py, then as the OpenStack tools do."""
    from openstack.config import loader

    return [str(settings.directory / "clouds.yaml"), *loader.CONFIG_FILES]


def configuration(settings: Settings) -> OpenStackConfig:
    """clouds.yaml, secure.yaml and OS_* as read. Raises CloudError when a file is not usable."""
    from openstack.config import OpenStackConfig, loader

    files = config_files(settings)
    _check_yaml([os.environ.get("OS_CLIENT_CONFIG_FILE", ""), *files])
    with explained("The clouds.yaml can't be used"):
        return OpenStackConfig(
            config_files=files, secure_files=[str(settings.directory / "secure.yaml"), *loader.SECURE_FILES]
        )


def _region(settings: Settings) -> CloudRegion:
    config = configuration(settings)
    name = settings.OPENSTACK_CLOUD or os.environ.get("OS_CLOUD")
    known = [cloud for cloud in config.get_cloud_names() if cloud != "defaults"]
    where = config.config_filename or f"no clouds.yaml in {settings.directory} or ~/.config/openstack"
    _check_chosen(name, known, where)
    with explained("The cloud's configuration can't be used", where):
        return config.get_one(cloud=name)


def _check_chosen(name: str | None, known: list[str], where: str) -> None:
    there = f"the clouds there are: {', '.join(sorted(known)) or 'none'}"
    if name == DEVCLOUD and name not in known:
        raise CloudError("The devcloud is not up", where=where, why=there, hint="`fab devcloud_up` starts it")
    if not known:
        why = "there is neither a clouds.yaml nor any OS_* variable"
        raise CloudError("There are no credentials for a cloud", where=where, why=why, hint=HINT_CREDENTIALS)
    if name is None and len(known) > 1 and "envvars" not in known:
        hint = "set OPENSTACK_CLOUD in settings.py, or OS_CLOUD"
        raise CloudError("Which cloud? The settings name none", where=where, why=there, hint=hint)
    if name is not None and name not in known:
        what = f"There is no cloud {name!r}{suggestion(name, known)}"
        hint = "OPENSTACK_CLOUD in settings.py (or OS_CLOUD) names one of them"
        raise CloudError(what, where=where, why=there, hint=hint)


def _check_yaml(files: list[str]) -> None:
    """The SDK skips a file it can't parse and then says that the cloud is unknown; say what is wrong instead."""
    import yaml

    path = next((file for file in files if file and Path(file).is_file()), None)
    if path is None or path.endswith("json"):
        return
    try:
        yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CloudError("The clouds.yaml can't be read", where=path, why=str(error)) from None


def _authenticate(connection: Connection) -> None:
    session = connection.session
    auth_url = str(connection.config.config.get("auth", {}).get("auth_url", "") or "the cloud")
    patient, session.timeout = session.timeout or CALL_TIMEOUT, LOGIN_TIMEOUT
    try:
        _get_token(connection, auth_url)
    finally:
        session.timeout = patient


def _get_token(connection: Connection, auth_url: str) -> None:
    import keystoneauth1.exceptions as refusals

    where = f"{connection.config.name or 'cloud'} at {auth_url}"
    try:
        if auth_url.startswith("http"):
            _check_keystone(connection, auth_url, where)
        connection.session.get_token()
    except refusals.ClientException as error:
        what, todo = _login_failure(error)
        why = words(error).replace("Attempting to parse version from URL.", "").strip()
        raise CloudError(what, where=where, why=why, hint=todo) from None


def _check_keystone(connection: Connection, auth_url: str, where: str) -> None:
    """Ask by hand once. Keystone says what it is to everybody; where the answer is 401, keystoneauth would want a token
    for the call that gets the token, and wait for itself for ever."""
    if connection.session.get(auth_url, authenticated=False, raise_exc=False).status_code == 401:
        raise CloudError(
            NO_KEYSTONE, where=where, why="it wants a token before it says what it is (HTTP 401)", hint=HINT_URL
        )


def _login_failure(error: BaseException) -> tuple[str, str]:
    """What happened, and what to do about it."""
    status, name = status_of(error), type(error).__name__
    if status == 401:
        return "The cloud refuses these credentials", hint(error) or ""
    if status == 404 or (status is None and "Discovery" in name and "establish" not in str(error)):
        return NO_KEYSTONE, HINT_URL
    if status is not None:
        return "The cloud's Keystone answers with an error", hint(error) or HINT_URL
    if "SSL" in name or "SSL" in str(error):
        return "The cloud's certificate is not trusted", HINT_TLS
    return "The cloud can't be reached", HINT_UNREACHABLE
