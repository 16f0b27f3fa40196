"""The balancer's configuration for both ages of nginx, tried by nginx itself where it is installed."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

OLD, NEW = (1, 22, 1), (1, 26, 3)
SITE = {
    "name": "guestbook",
    "domains": ["guest.example", "www.guest.example"],
    "upstreams": ["10.0.0.5:8000", "10.0.0.6:8000"],
}
EMPTY = {"name": "empty", "domains": ["empty.example"], "upstreams": []}
DIRECTORY = "/etc/nginx"


@pytest.fixture
def nginx(declare):
    def declared(*sites, version=NEW, default=False):
        given = [{"default": False, **site} for site in sites]
        if default:
            given[0].update(default=True, domains=[])
        pair = {"certificate": "PEM", "key": "KEY"}
        return declare(
            "nginx",
            library={"nginx.version": lambda: version, "nginx.has_ipv6": lambda: True},
            **{"nginx.sites": given, "nginx.certificates": {site["name"]: pair for site in sites}},
        )

    return declared


@pytest.fixture
def site(nginx, content):
    def rendered(*sites, **options):
        return content(nginx(*sites, **options), f"{DIRECTORY}/sites-available/site-{sites[0]['name']}.conf")

    return rendered


def test_every_appnode_gets_its_share_and_is_passed_over_when_it_fails(site):
    text = site(SITE)
    assert re.findall(r"server (\S+) max_fails=2 fail_timeout=10s;", text) == SITE["upstreams"]
    assert "server_name guest.example www.guest.example;" in text
    assert "default_server" not in text


def test_the_default_site_answers_every_name(site):
    text = site(SITE, default=True)
    assert "listen 443 ssl default_server;" in text
    assert "listen 80 default_server;" in text
    assert "server_name _;" in text


def test_a_site_without_appnodes_is_unavailable_and_says_so(site):
    text = site(EMPTY)
    assert "return 503;" in text
    assert "proxy_pass" not in text
    assert "upstream" not in text


def test_http2_is_said_in_the_one_way_that_this_nginx_knows(nginx, content):
    for version, directive, listen in ((OLD, False, "listen 443 ssl http2;"), (NEW, True, "listen 443 ssl;")):
        kitchen = nginx(SITE, version=version)
        assert ("http2 on;" in content(kitchen, f"{DIRECTORY}/nginx.conf")) is directive
        assert listen in content(kitchen, f"{DIRECTORY}/sites-available/site-guestbook.conf")


def test_a_private_key_is_roots_alone(nginx):
    assert nginx(SITE).resources["File"][f"{DIRECTORY}/tls/guestbook.key"].mode == 0o600


def test_a_site_without_certificate_is_named(declare):
    with pytest.raises(Exception, match="none for the site guestbook"):
        declare("nginx", **{"nginx.sites": [{**SITE, "default": False}]})


def test_a_site_that_is_gone_loses_its_files(nginx, monkeypatch):
    there = {
        f"{DIRECTORY}/sites-enabled": ["site-old.conf", "mine.conf"],
        f"{DIRECTORY}/tls": ["old.key", "guestbook.key"],
    }
    isdir, listdir = os.path.isdir, os.listdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path in there or isdir(path))
    monkeypatch.setattr(os, "listdir", lambda path: there[path] if path in there else listdir(path))
    files = nginx(SITE).resources["File"]
    gone = {path.removeprefix(f"{DIRECTORY}/") for path, file in files.items() if file.action == ["delete"]}
    assert gone == {"sites-enabled/default", "sites-enabled/site-old.conf", "tls/old.key"}


@pytest.mark.parametrize("default", [True, False])
def test_nginx_takes_the_whole_configuration(nginx, content, run, tmp_path, default):
    told = run("nginx", "-v")
    version = tuple(int(number) for number in re.search(r"/([\d.]+)", told)[1].split("."))
    kitchen = nginx(SITE, EMPTY, version=version, default=default)
    for path in kitchen.resources["File"]:
        if path.startswith((f"{DIRECTORY}/nginx.conf", f"{DIRECTORY}/sites-available/")):
            place = tmp_path / path.removeprefix(f"{DIRECTORY}/").replace("sites-available", "sites-enabled")
            place.parent.mkdir(exist_ok=True)
            place.write_text(_moved(content(kitchen, path), tmp_path))
    for name in ("conf.d", "modules-enabled", "cache", "tls"):
        (tmp_path / name).mkdir()
    (tmp_path / "mime.types").write_text("types { text/html html; }\n")
    certify(tmp_path / "tls", "guestbook", "empty")
    run("nginx", "-t", "-q", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "error.log")


def _moved(text, directory):
    """The same configuration below a directory of ours, at ports that need no root."""
    for old, new in ((DIRECTORY, directory), ("/var/log/nginx", directory), ("/var/cache/nginx", directory / "cache")):
        text = text.replace(old, str(new))
    text = text.replace("/run/nginx.pid", str(directory / "pid")).replace("user www-data;\n", "")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    text = text.replace("http {", "http {" + "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds))
    return re.sub(r"listen (\[::\]:)?(80|443)\b", lambda m: f"listen {m[1] or ''}{28000 + int(m[2])}", text)


def certify(directory, *names):
    for name in names:
        subject = ["-subj", f"/CN={name}", "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.crt"]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subprocess.run(["openssl", "req", "-x509", *curve, *subject], check=True, capture_output=True)
