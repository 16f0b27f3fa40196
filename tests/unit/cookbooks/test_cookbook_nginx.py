"""The balancer's configuration for both ages of nginx, tried by nginx itself where it is installed."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

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
    def declared(*sites, version=NEW, openssl=(3, 0), default=False, **attributes):
        given = [{"default": False, **site} for site in sites]
        if default:
            given[0].update(default=True, domains=[])
        pair = {"certificate": "PEM", "key": "KEY"}
        told = {"version": version, "has_ipv6": True, "openssl": openssl, "nameservers": ["127.0.0.53", "[fd00::53]"]}
        return declare(
            "nginx",
            library={f"nginx.{name}": lambda value=value: value for name, value in told.items()},
            **{"nginx.sites": given, "nginx.certificates": {site["name"]: pair for site in sites}, **attributes},
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


@pytest.mark.parametrize(("openssl", "curves"), [((3, 0), "X25519:"), ((3, 5), "?X25519MLKEM768:X25519:")])
def test_keys_are_agreed_on_as_this_openssl_can(nginx, content, openssl, curves):
    assert f"ssl_ecdh_curve {curves}" in content(nginx(SITE, openssl=openssl), f"{DIRECTORY}/nginx.conf")


def test_a_site_has_its_own_sizes_and_rates(site, content):
    text = site({**SITE, "body_size_mb": 7, "rate_limit": {"per_second": 3, "burst": 9}})
    assert "client_max_body_size 7m;" in text
    assert "zone=visitors-guestbook:10m rate=3r/s;" in text
    assert text.count("limit_req zone=visitors-guestbook burst=9 nodelay;") == 2
    assert "limit_req" not in site(SITE)


def test_only_what_may_be_repeated_is_tried_elsewhere(nginx, content, site):
    assert "non_idempotent" not in content(nginx(SITE), f"{DIRECTORY}/nginx.conf") + site(SITE)


def test_headers_are_added_where_a_site_sends_none(nginx, content):
    text = content(nginx(SITE, **{"nginx.headers": {"X-Frame-Options": 'a "b"'}}), f"{DIRECTORY}/nginx.conf")
    assert 'map $upstream_http_x_frame_options $own_x_frame_options { default ""; "" "a \\"b\\""; }' in text
    assert "add_header X-Frame-Options $own_x_frame_options always;" in text
    assert "Permissions-Policy" not in text


def in_maintenance(**notice):
    return {"nginx.switch": {"guestbook": {"maintenance": True, "notice": notice}}}


def test_a_site_in_maintenance_lets_in_who_may_and_remembers_it(nginx, content):
    kitchen = nginx(SITE, **in_maintenance(allow=["192.0.2.7", "2001:db8::/32"], retry_after=600))
    text = content(kitchen, f"{DIRECTORY}/sites-available/site-guestbook.conf")
    assert "error_page 502 503 504 /.deploymachine/maintenance/600;" in text
    assert re.search(r"geo \$outside_guestbook \{\s+default 1;\s+192.0.2.7 0;\s+2001:db8::/32 0;\s+\}", text)
    closed = re.findall(r"location (\S+) \{\s+if \(\$outside_guestbook\) \{ return 503; \}", text)
    assert closed == ["/", "/static/", "/media/"]
    assert re.search(r'location = "/healthz" \{\s+proxy_pass http://guestbook;', text)
    remembered = kitchen.resources["File"]["/etc/deploymachine/nginx/guestbook.maintenance"].content
    assert remembered == '{"allow": ["192.0.2.7", "2001:db8::/32"], "message": "", "retry_after": 600}\n'


@pytest.mark.parametrize("remembered", ["", '{"message": "Back at nine", "retry_after": 9}', "{ cut o"])
def test_maintenance_goes_on_as_it_was_said(nginx, content, monkeypatch, tmp_path, remembered):
    monkeypatch.setenv("KOKKI_ROOT", str(tmp_path))
    (tmp_path / "etc/deploymachine/nginx").mkdir(parents=True)
    (tmp_path / "etc/deploymachine/nginx/guestbook.maintenance").write_text(remembered)
    kitchen = nginx(SITE)
    assert "return 503;" in content(kitchen, f"{DIRECTORY}/sites-available/site-guestbook.conf")
    page = content(kitchen, "/usr/share/deploymachine/nginx/maintenance-guestbook.html")
    assert ("Back at nine" in page) is ("nine" in remembered)
    off = nginx(SITE, **{"nginx.switch": {"guestbook": {"maintenance": False}}})
    assert "return 503;" not in content(off, f"{DIRECTORY}/sites-available/site-guestbook.conf")
    assert off.resources["File"]["/etc/deploymachine/nginx/guestbook.maintenance"].action == ["delete"]


def test_a_message_can_be_nothing_but_text(nginx, content):
    said = "Back at <b>9</b> \"$(reboot)\" 'now'; {{ 7*7 }} $uri\nAda"
    path = "/usr/share/deploymachine/nginx/maintenance-guestbook.html"
    shown = "Back at &lt;b&gt;9&lt;/b&gt; &quot;$(reboot)&quot; &#x27;now&#x27;; {{ 7*7 }} $uri\nAda"
    assert shown in content(nginx(SITE, **in_maintenance(message=said)), path)
    own = {**SITE, "maintenance_page": "<h1>Ours</h1>{{ message }}"}
    assert content(nginx(own, **in_maintenance(message=said)), path) == f"<h1>Ours</h1>{shown}"


def test_a_site_that_was_switched_off_stays_off(nginx, monkeypatch, tmp_path):
    monkeypatch.setenv("KOKKI_ROOT", str(tmp_path))
    (tmp_path / "etc/deploymachine/nginx").mkdir(parents=True)
    (tmp_path / "etc/deploymachine/nginx/guestbook.disabled").touch()
    link, unknown = (f"{DIRECTORY}/sites-enabled/site-{name}.conf" for name in ("guestbook", "_"))
    kitchen = nginx(SITE, default=True)
    assert kitchen.resources["Link"][link].action == ["delete"]
    assert kitchen.resources["Link"][unknown].action == ["create"]
    again = nginx(SITE, default=True, **{"nginx.switch": {"guestbook": {"enabled": True}}})
    assert again.resources["Link"][link].action == ["create"]
    assert unknown not in again.resources["Link"]
    assert again.resources["File"]["/etc/deploymachine/nginx/guestbook.disabled"].action == ["delete"]


def test_who_asks_for_a_name_is_answered_here_or_passed_on(nginx, content):
    path = f"{DIRECTORY}/snippets/acme.conf"
    assert "root /var/www/acme;" in content(nginx(SITE), path)
    assert "proxy_pass http://10.0.0.9:80;" in content(nginx(SITE, **{"nginx.acme_peer": "10.0.0.9"}), path)


def test_a_proof_of_validity_is_fetched_where_somebody_gives_one(nginx):
    asked = certificate(x509.AuthorityInformationAccess([responder("http://ocsp.example")]))
    for pem, told in ((asked, "ssl_stapling on;\n"), (certificate(), ""), ("PEM", "")):
        kitchen = nginx(SITE, **{"nginx.certificates": {"guestbook": {"certificate": pem, "key": "KEY"}}})
        assert kitchen.resources["File"][f"{DIRECTORY}/tls/guestbook.stapling"].content == told


def test_what_acme_brought_is_not_put_back(nginx):
    kitchen = nginx({**SITE, "certificate": "acme"}, **{"certbot.sites": {"guestbook": SITE["domains"]}})
    files = kitchen.resources["File"]
    assert {files[f"{DIRECTORY}/tls/guestbook.{kind}"].action[0] for kind in ("crt", "key", "stapling")} == {"touch"}
    assert "certificate of guestbook" in kitchen.resources["Execute"]


@pytest.mark.parametrize("default", [True, False])
def test_nginx_takes_the_whole_configuration(nginx, content, run, tmp_path, default):
    told = run("nginx", "-v")
    version = tuple(int(number) for number in re.search(r"/([\d.]+)", told)[1].split("."))
    limited = {**SITE, "body_size_mb": 7, "rate_limit": {"per_second": 3, "burst": 9}}
    shut = in_maintenance(message="later", allow=["192.0.2.7"]) if default else {}
    limited["health_path"] = '/he"al\\th{;}'
    kitchen = nginx(limited, EMPTY, version=version, default=default, **shut)
    for path in kitchen.resources["File"]:
        if path.startswith((f"{DIRECTORY}/nginx.conf", f"{DIRECTORY}/sites-available/", f"{DIRECTORY}/snippets/")):
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
        (directory / f"{name}.stapling").write_text("")


def responder(url):
    return x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))


def certificate(*extensions):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
