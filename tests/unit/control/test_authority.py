"""The deployment's own certificate authority, looked at as a peer does that was given its certificate."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from deploymachine import authority
from deploymachine.inventory import Server
from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment


@pytest.fixture
def one(deployment: Deployment) -> Server:
    return deployment.inventory.named("loadbalancer1")  # which has a public address, too


def read(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def trusted(certificate: str, authority_pem: str, name: str, when: datetime | None = None) -> bool:
    verifier = PolicyBuilder().store(Store([read(authority_pem)]))
    verifier = verifier.time(when or datetime.now(timezone.utc))
    try:
        verifier.build_server_verifier(x509.DNSName(name)).verify(read(certificate), [])
        verifier.build_client_verifier().verify(read(certificate), [])
    except VerificationError:
        return False
    return True


def test_a_server_can_prove_its_name_and_no_other(one: Server, deployment: Deployment) -> None:
    made = authority.server_certificate(one, deployment)
    assert trusted(made["certificate"], made["authority"], "loadbalancer1")
    assert not trusted(made["certificate"], made["authority"], "appnode1")
    names = read(made["certificate"]).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["loadbalancer1"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.11", "198.51.100.7"]


def test_another_deployments_certificates_prove_nothing(one: Server, deployment: Deployment) -> None:
    made = authority.server_certificate(one, deployment)
    (deployment.settings.state / "secrets.json").unlink()
    other = authority.server_certificate(one, deployment)
    assert other["authority"] != made["authority"]
    assert not trusted(made["certificate"], other["authority"], "loadbalancer1")
    assert trusted(other["certificate"], other["authority"], "loadbalancer1")


def test_it_is_the_same_each_time_until_the_addresses_change(one: Server, deployment: Deployment) -> None:
    made = authority.server_certificate(one, deployment)
    assert authority.server_certificate(one, deployment) == made
    moved = authority.server_certificate(replace(one, public_ip=""), deployment)
    assert moved["certificate"] != made["certificate"]
    assert (moved["key"], moved["authority"]) == (made["key"], made["authority"])


def test_both_are_renewed_before_they_end_and_old_ones_stay_good(
    one: Server, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = authority.server_certificate(one, deployment)
    monkeypatch.setattr(authority, "SERVER_RENEW_DAYS", authority.SERVER_DAYS)
    monkeypatch.setattr(authority, "AUTHORITY_RENEW_DAYS", authority.AUTHORITY_DAYS)
    renewed = authority.server_certificate(one, deployment)
    assert renewed["certificate"] != made["certificate"]
    assert renewed["authority"] != made["authority"]
    assert renewed["key"] == made["key"]
    for certificate in (made, renewed):
        for root in (made, renewed):
            assert trusted(certificate["certificate"], root["authority"], "loadbalancer1")
    late = datetime.now(timezone.utc) + timedelta(days=authority.SERVER_DAYS + 1)
    assert not trusted(renewed["certificate"], renewed["authority"], "loadbalancer1", late)


def test_a_server_cannot_sign(one: Server, deployment: Deployment) -> None:
    made = authority.server_certificate(one, deployment)
    assert not read(made["certificate"]).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_secrets_in_the_secrets_file_alone(one: Server, deployment: Deployment) -> None:
    made = authority.server_certificate(one, deployment)
    assert isinstance(made["key"], Secret)
    state = deployment.settings.state
    assert sorted(json.loads((state / "secrets.json").read_text())) == ["authority-key", "server-loadbalancer1-tls-key"]
    assert (state / "secrets.json").stat().st_mode & 0o077 == 0
    for file in (state / "authority").rglob("*"):
        assert file.is_dir() or "PRIVATE" not in file.read_text()


def test_a_certificate_that_somebody_damaged_is_made_anew(one: Server, deployment: Deployment) -> None:
    made = authority.server_certificate(one, deployment)
    file = deployment.settings.state / "authority/servers/loadbalancer1.pem"
    for damage in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", made["authority"]):
        file.write_text(damage)
        again = authority.server_certificate(one, deployment)
        assert trusted(again["certificate"], again["authority"], "loadbalancer1")
