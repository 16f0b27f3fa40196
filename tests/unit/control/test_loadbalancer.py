"""What the loadbalancers are told of sites, certificates and each other, and what a mistake in settings.py is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploymachine import maintenance
from deploymachine.errors import DeployMachineError, SettingsError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import Deployment, attributes
from deploymachine.settings import load

ACME = 'SITES["blog"].update(domains=["blog.example"], certificate="acme")\nACME_EMAIL = "ops@blog.example"\n'
OTHER = 'SITES["shop"] = {**SITES["blog"], "port": 8001, "domains": DOMAINS}\n'
BALANCERS = [Server(f"loadbalancer{n}", "loadbalancer", f"10.0.0.1{n}") for n in (1, 2, 3)]
Said = Callable[..., Deployment]


@pytest.fixture
def said(directory: Path, deployment: Deployment) -> Said:
    """said("SITES[...] = ...") -> the deployment with that at the end of settings.py, and these loadbalancers."""

    def made(text: str, balancers: list[Server] = BALANCERS) -> Deployment:
        path = directory / "settings.py"
        path.write_text(path.read_text() + text)
        others = [server for server in deployment.inventory if server.type != "loadbalancer"]
        return replace(deployment, settings=load(directory), inventory=Inventory([*others, *balancers]))

    return made


@pytest.fixture
def files(directory: Path) -> Callable[..., str]:
    """files("blog.example", days=9) -> the line of settings.py that has the site use a certificate for those names."""

    def made(*names: str, days: int = 30, chain: str = "{own}{other}", other_key: bool = False) -> str:
        own, key = pair(names, days)
        other, foreign = pair(["other.example"], 30)
        (directory / "blog.pem").write_text(chain.format(own=own, other=other))
        (directory / "blog.key").write_text(foreign if other_key else key)
        return (
            'SITES["blog"].update(domains=["blog.example", "www.blog.example"], '
            'certificate={"certificate": "blog.pem", "key": "blog.key"})\n'
        )

    return made


def pair(names: list[str] | tuple[str, ...], days: int) -> tuple[str, str]:
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    end = datetime.now(timezone.utc) + timedelta(days=days)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, end - timedelta(days=90), end)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def of(name: str, deployment: Deployment) -> dict[str, object]:
    return attributes(deployment.inventory.named(name), deployment)


def test_what_a_site_says_reaches_its_balancer(said: Said) -> None:
    text = 'SITES["blog"].update(domains=["blog.example"], body_size_mb=7, rate_limit={"per_second": 3, "burst": 9})\n'
    (site,) = of("loadbalancer1", said(text))["nginx.sites"]  # type: ignore[misc]
    assert (site["domains"], site["default"], site["certificate"]) == (["blog.example"], False, "self-signed")
    assert (site["body_size_mb"], site["rate_limit"]) == (7, {"per_second": 3, "burst": 9})


def test_the_one_site_without_domains_answers_every_name(said: Said) -> None:
    sites = of("loadbalancer1", said(OTHER.replace("DOMAINS", '["shop.example"]')))["nginx.sites"]
    assert {site["name"]: site["default"] for site in sites} == {"blog": True, "shop": False}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('SITES["blog"]["certificate"] = "letsencrypt"', ["SITES['blog']['certificate']", '"self-signed", "acme", or']),
        ('SITES["blog"]["certificate"] = {"certificate": "a.pem"}', ["SITES['blog']['certificate']", '"key": file']),
        ('SITES["blog"]["certificate"] = "acme"\nACME_EMAIL = "a@b.example"', ["'acme' needs 'domains'"]),
        ('SITES["blog"].update(domains=["b.example"], certificate="acme")', ["ACME_EMAIL is not set"]),
        ('ACME_EMAIL = "nobody"', ["ACME_EMAIL", "nobody"]),
        ('ACME_DIRECTORY = "http://ca.example/dir"', ["ACME_DIRECTORY", "http://ca.example/dir"]),
        ('SITES["blog"]["body_size_mb"] = 0', ["SITES['blog']['body_size_mb']"]),
        ('SITES["blog"]["rate_limit"] = 10', ["SITES['blog']['rate_limit']"]),
        ('SITES["blog"]["rate_limit"] = {"per_secnd": 10}', ["did you mean 'per_second'"]),
        (OTHER.replace("DOMAINS", "[]"), ["SITES['shop']['domains']: none, as 'blog' has"]),
        (
            'SITES["blog"]["domains"] = ["Blog.example"]\n' + OTHER.replace("DOMAINS", '["blog.example"]'),
            ["SITES['shop']['domains']: blog.example is one of 'blog' already"],
        ),
    ],
)
def test_a_mistake_is_named(said: Said, text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        said(text + "\n")
    for word in words:
        assert word in str(caught.value)


def test_the_teams_own_certificate_travels_with_its_key_marked(said: Said, files: Callable[..., str]) -> None:
    here = said(files("blog.example", "*.blog.example"))
    found = of("loadbalancer1", here)["nginx.certificates"]["blog"]  # type: ignore[index]
    assert found["certificate"] == (here.settings.directory / "blog.pem").read_text()
    assert found["key"] == (here.settings.directory / "blog.key").read_text()
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ["blog.example"]}, ["not good for www.blog.example", "it is for blog.example", "blog.pem"]),
        ({"days": -1}, ["is not good today", "blog.pem"]),
        ({"days": 91}, ["is not good today"]),
        ({"other_key": True, "chain": "{own}"}, ["don't belong together", "blog.pem", "blog.key"]),
        ({"chain": "{other}{own}"}, ["is not the first in the file"]),
        ({"chain": "nothing"}, ["not a PEM certificate"]),
    ],
)
def test_a_certificate_that_no_browser_would_take_is_refused(
    said: Said, files: Callable[..., str], options: dict[str, object], words: list[str]
) -> None:
    names = options.pop("names", ["blog.example", "www.blog.example"])
    here = said(files(*names, **options))  # type: ignore[misc]
    with pytest.raises(SettingsError) as caught:
        of("loadbalancer1", here)
    for word in ["SITES['blog']['certificate']", *words]:
        assert word in str(caught.value)


def test_files_that_are_not_there(said: Said, files: Callable[..., str]) -> None:
    here = said(files("blog.example"))
    (here.settings.directory / "blog.key").unlink()
    with pytest.raises(SettingsError, match="can't be read") as caught:
        of("loadbalancer1", here)
    assert "blog.key" in str(caught.value)


def test_the_first_loadbalancer_asks_for_all(said: Said) -> None:
    here = said(ACME)
    first, second = of("loadbalancer1", here), of("loadbalancer2", here)
    assert first["certbot.sites"] == {"blog": ["blog.example"]}
    assert (first["nginx.acme_peer"], first["certbot.leader"]) == (None, None)
    assert first["certbot.followers"] == ["loadbalancer2", "loadbalancer3"]
    assert (second["nginx.acme_peer"], second["certbot.followers"]) == ("10.0.0.11", [])
    assert second["certbot.leader"] == {"name": "loadbalancer1", "address": "10.0.0.11"}
    ports = {rule["port"]: rule["sources"] for rule in first["base.firewall_rules"]}  # type: ignore[attr-defined]
    assert ports[4402] == ["10.0.0.11", "10.0.0.12", "10.0.0.13"]


def test_one_alone_needs_no_proof_of_who_it_is(said: Said) -> None:
    found = of("loadbalancer1", said(ACME, BALANCERS[:1]))
    assert (found["certbot.followers"], found["certbot.identity"]) == ([], None)


def test_without_acme_nothing_of_it_is_there(said: Said) -> None:
    found = of("loadbalancer2", said(""))
    assert {name for name in found if name.startswith("certbot.")} == set()
    assert found["nginx.acme_peer"] == "10.0.0.11"
    assert 4402 not in {rule["port"] for rule in found["base.firewall_rules"]}  # type: ignore[attr-defined]


def test_a_private_authority_is_read(said: Said, directory: Path) -> None:
    (directory / "ca.pem").write_text(pair(["ca"], 30)[0])
    assert "BEGIN" in str(of("loadbalancer1", said(ACME + 'ACME_CA = "ca.pem"\n'))["certbot.ca"])
    (directory / "ca.pem").write_text("nothing")
    with pytest.raises(DeployMachineError, match="ACME_CA: not a PEM certificate"):
        of("loadbalancer1", said(""))


def test_a_page_of_the_sites_own_for_maintenance_is_read_here(said: Said, directory: Path) -> None:
    here = said('SITES["blog"]["maintenance_page"] = "away.html"\n')
    with pytest.raises(SettingsError, match=r"SITES\['blog'\]\['maintenance_page'\] can't be read"):
        attributes(BALANCERS[0], here)
    (directory / "away.html").write_text("<p>{{ message }}</p>")
    [site] = attributes(BALANCERS[0], here)["nginx.sites"]
    assert (site["maintenance_page"], site["health_path"]) == ("<p>{{ message }}</p>", "/healthz")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"message": "x" * 2001}, "--message has 2001 characters"),
        ({"message": "a\x1b[2J"}, "--message holds a character that nobody can read"),
        ({"allow": ["192.0.2.7", "office"]}, "--allow-ip office: that is no address"),
        ({"retry_after": 0}, "--retry-after 0 can't be meant"),
    ],
)
def test_a_notice_that_can_not_be_meant_is_refused(words: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        maintenance.notice(**words)
    kept = maintenance.notice("it's; $(id)\nAda", [" 192.0.2.9/24 ", "192.0.2.0/24", ""], 5)
    assert kept == {"message": "it's; $(id)\nAda", "allow": ["192.0.2.0/24"], "retry_after": 5}
