"""Application credentials, made and used by the unmodified SDK."""

from __future__ import annotations

import pytest
import requests
import yaml
from openstack import exceptions

# What the SDK deprecates within itself.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS]


@pytest.fixture
def login(service):
    """A connection by application credential; what it is told goes beside the URL in clouds.yaml."""

    def connect(**proof):
        file = service.directory / "clouds.yaml"
        auth = {"auth_url": f"{service.layout.url}/identity/v3", **proof}
        cloud = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "devcloud"}
        file.write_text(yaml.safe_dump({"clouds": {"devcloud": cloud}}))
        return service.connect()

    return connect


def make(sdk, name="ci", **more):
    return sdk.identity.create_application_credential(sdk.current_user_id, name=name, **more)


def test_a_credential_logs_in_by_id_and_by_name(sdk, login):
    made = make(sdk, description="for a pipeline")
    by_id = {"application_credential_id": made.id, "application_credential_secret": made.secret}
    by_name = {
        "application_credential_name": "ci",
        "application_credential_secret": made.secret,
        "username": "devcloud",
    }
    for proof in (by_id, {**by_name, "user_domain_name": "Default"}):
        with login(**proof) as connection:
            assert connection.list_servers() == []
            assert connection.current_project_id == sdk.current_project_id


def test_the_secret_is_told_once_and_must_be_right(service, sdk, login):
    made = make(sdk, secret="of mine")
    assert made.secret == "of mine"
    listed = list(sdk.identity.application_credentials(sdk.current_user_id))
    assert [one.secret for one in listed] == [None]
    assert "of mine" not in (service.directory / "state.json").read_text()
    with (
        login(application_credential_id=made.id, application_credential_secret="guessed") as connection,
        pytest.raises(exceptions.SDKException, match="requires authentication"),
    ):
        connection.authorize()


def test_a_restricted_one_makes_and_deletes_none(sdk, login):
    made = make(sdk)
    with login(application_credential_id=made.id, application_credential_secret=made.secret) as connection:
        with pytest.raises(exceptions.ForbiddenException, match="not allowed for managing additional"):
            make(connection, "more")
        with pytest.raises(exceptions.ForbiddenException):
            connection.identity.delete_application_credential(connection.current_user_id, made.id)
    free = make(sdk, "free", unrestricted=True)
    with login(application_credential_id=free.id, application_credential_secret=free.secret) as connection:
        assert make(connection, "more").name == "more"


def test_what_was_issued_for_a_deleted_one_is_worth_nothing(service, sdk, login):
    made = make(sdk)
    with login(application_credential_id=made.id, application_credential_secret=made.secret) as connection:
        token = connection.auth_token
        url = f"{service.layout.url}/compute/v2.1/servers"
        assert requests.get(url, headers={"X-Auth-Token": token}, timeout=10).status_code == 200
        service.restart()
        sdk.identity.delete_application_credential(sdk.current_user_id, made.id)
        assert requests.get(url, headers={"X-Auth-Token": token}, timeout=10).status_code == 401
    assert list(sdk.identity.application_credentials(sdk.current_user_id)) == []


def test_names_are_taken_once_and_what_is_missing_is_told(sdk):
    make(sdk)
    with pytest.raises(exceptions.ConflictException, match="Duplicate entry found with name ci"):
        make(sdk)
    with pytest.raises(exceptions.BadRequestException, match="'name' is a required property"):
        make(sdk, name="")
    with pytest.raises(exceptions.NotFoundException):
        sdk.identity.get_application_credential(sdk.current_user_id, "nope")
