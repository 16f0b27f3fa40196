"""Two loadbalancers, two appnodes and an ACME authority: what visitors see, and what nginx is left to do."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import audits
import pytest
import web_audits
from fleet import Fleet, own_deployment, served_by
from machine_world import until
from visitor import Visitor

pytestmark = pytest.mark.devcloud
FIRST, SECOND, NODE = "dbappbalancer1", "loadbalancer1", "appnode1"
NAMES = ("guest.example", "www.guest.example")
SERVERS = f"""
OPENSTACK_SERVERS = {{
    "dbappbalancer": [("{FIRST}", "m1.small")],
    "loadbalancer": [("{SECOND}", "m1.small")],
    "appnode": [("{NODE}", "m1.small")],
}}
SITES["guestbook"].update(domains={list(NAMES)!r}, body_size_mb=1)
"""
LINES = ("openstack_bootem", "root provision", "everything launch")
PEBBLE = "/etc/pebble"
AUTHORITY = f"pebble -config {PEBBLE}/config.json -dnsserver 127.0.0.1:8053"
OBLIGING = "-E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0"  # else it tries its clients' patience, by lot
SETTINGS = {
    "listenAddress": "0.0.0.0:14000",
    "managementListenAddress": "127.0.0.1:15000",
    "certificate": f"{PEBBLE}/cert.pem",
    "privateKey": f"{PEBBLE}/key.pem",
    "httpPort": 80,
    "tlsPort": 443,
    "certificateValidityPeriod": 90 * 86_400,
    "ocspResponderURL": "http://127.0.0.1:4003",
    "externalAccountBindingRequired": False,
}


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    home = devcloud.state.parent / "balancers"
    with own_deployment(devcloud.directory / "clouds.yaml", home, SECOND, SERVERS, LINES) as fleet:
        yield fleet


@pytest.fixture
def visitor(made: Fleet) -> Visitor:
    """Comes by the second loadbalancer, which has nodes on two other servers."""
    trust = made.directory / ".deploymachine/certificates/guestbook.pem"
    return Visitor(made.server(SECOND).address, NAMES[0], trust)


def requests(fleet: Fleet, server: str = SECOND) -> list[dict[str, object]]:
    lines = fleet.sudo(server, "cat /var/log/nginx/site-guestbook.log").splitlines()
    return [json.loads(line) for line in lines]


def test_a_visitor_is_served_by_both_nodes_over_http2_and_tls(made: Fleet, visitor: Visitor) -> None:
    for name in NAMES:
        assert Visitor(visitor.address, name, visitor.trust).ask().status == 200
    assert {served_by(visitor.ask()) for _ in range(12)} == {FIRST, NODE}  # type: ignore[arg-type]
    with Visitor(visitor.address, NAMES[0], visitor.trust, ("h2", "http/1.1")).connect() as connection:
        assert (connection.selected_alpn_protocol(), connection.version()) == ("h2", "TLSv1.3")


def test_every_answer_has_its_headers_and_no_version(visitor: Visitor) -> None:
    answer = visitor.ask()
    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000"
    assert answer.headers["Server"] == "nginx"
    for name in ("Content-Security-Policy", "Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options"):
        assert answer.headers.get_all(name) is not None, name
    assert answer.headers.get_all("X-Frame-Options") == ["DENY"]  # the site's own


def test_port_80_leads_to_443_and_other_names_nowhere(visitor: Visitor) -> None:
    plain = visitor.ask_plainly("/a?b=c")
    assert (plain.status, plain.headers["Location"]) == (301, f"https://{NAMES[0]}/a?b=c")
    assert visitor.ask_plainly(Host="other.example").status == 421
    assert visitor.ask(Host="other.example").status == 421
    with pytest.raises(ssl.SSLError):
        Visitor(visitor.address, "other.example").connect()


def test_what_a_visitor_says_of_himself_is_not_believed(made: Fleet, visitor: Visitor) -> None:
    visitor.ask("/?who", X_Forwarded_For="203.0.113.66", X_Forwarded_Proto="http", X_Real_IP="203.0.113.66")
    logs = [made.sudo(name, "grep -h who /var/log/supervisor/site-guestbook.log || true") for name in (FIRST, NODE)]
    (line,) = [line for text in logs for line in text.splitlines()]
    with visitor.connect() as connection:
        assert line.split()[0] == connection.getsockname()[0]


def test_files_are_cached_and_pages_are_compressed_for_who_came_by_himself(made: Fleet, visitor: Visitor) -> None:
    path = re.search(r'href="(/static/[^"]+\.css)"', visitor.ask().text)[1]  # type: ignore[index]
    for _ in range(2):
        assert visitor.ask(path, Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
    assert until(lambda: [one["cache"] for one in requests(made) if one["uri"] == path] == ["MISS", "HIT"])
    page = {"Accept_Encoding": "gzip"}
    assert visitor.ask(**page, Sec_Fetch_Site="none").headers["Content-Encoding"] == "gzip"
    assert visitor.ask(**page, Sec_Fetch_Site="cross-site").headers["Content-Encoding"] is None
    assert visitor.ask(**page).headers["Content-Encoding"] is None


def test_too_much_is_refused(visitor: Visitor) -> None:
    assert visitor.ask("/", "POST", b"x" * (1 << 20) + b"x").status == 413


def test_a_node_that_is_away_is_passed_over(made: Fleet, visitor: Visitor) -> None:
    made.sudo(NODE, "systemctl stop supervisor")
    try:
        assert {(visitor.ask().status, served_by(visitor.ask())) for _ in range(10)} == {(200, FIRST)}  # type: ignore[arg-type]
    finally:
        made.sudo(NODE, "systemctl start supervisor")
    assert until(lambda: NODE in {served_by(visitor.ask()) for _ in range(4)}, 40)  # type: ignore[arg-type]


def test_nginx_may_do_little_reloads_and_gives_up_its_logs(made: Fleet, visitor: Visitor) -> None:
    told = made.sudo(SECOND, "systemd-analyze --no-pager security nginx")
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", told)[1]) <= 3.5  # type: ignore[index]
    made.fab("loadbalancer", "nginx.test")
    made.fab("loadbalancer", "nginx.reload")
    made.sudo(SECOND, "logrotate --force /etc/logrotate.d/nginx")
    assert visitor.ask("/?rotated").status == 200
    assert until(lambda: [one["uri"] for one in requests(made)] == ["/?rotated"])
    assert made.sudo(SECOND, "cat /var/log/nginx/error.log").strip() == ""


def test_maintenance_is_told_and_stays_over_a_cook(made: Fleet, visitor: Visitor) -> None:
    made.fab("loadbalancer", "nginx.maintenance", "--site", "guestbook")
    try:
        made.fab("kokki:loadbalancer")
        for method in ("GET", "POST"):
            answer = visitor.ask(method=method, body=b"a=b" if method == "POST" else None)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
            assert "Under maintenance" in answer.text
        assert "maintenance" in made.fab("loadbalancer", "nginx.status")
    finally:
        made.fab("loadbalancer", "nginx.maintenance", "--site", "guestbook", "--off")
    assert visitor.ask().status == 200


def test_a_site_is_taken_off_and_put_back(made: Fleet, visitor: Visitor) -> None:
    made.fab("loadbalancer", "nginx.dissite", "--site", "guestbook")
    try:
        made.fab("kokki:loadbalancer")
        assert visitor.ask_plainly().status == 421
        with pytest.raises(ssl.SSLError):
            visitor.connect()
        assert Visitor(made.server(FIRST).address, NAMES[0], visitor.trust).ask().status == 200
    finally:
        made.fab("loadbalancer", "nginx.ensite", "--site", "guestbook")
    assert visitor.ask().status == 200


def test_what_can_not_be_meant_is_told(made: Fleet) -> None:
    assert "did you mean 'guestbook'" in made.refused("loadbalancer", "nginx.dissite", "--site", "guestbok")
    assert f"no nginx on {NODE}" in made.refused("appnode", "nginx.reload")


def test_who_asks_too_often_is_told_to_wait(made: Fleet, visitor: Visitor) -> None:
    made.add_settings('SITES["guestbook"]["rate_limit"] = {"per_second": 1, "burst": 3}\n')
    made.fab("kokki:loadbalancer")
    answers = [visitor.ask() for _ in range(9)]
    assert [answer.status for answer in answers[:3]] == [200] * 3
    turned_away = [answer for answer in answers if answer.status == 429]
    assert turned_away
    assert turned_away[0].headers["Retry-After"] == "1"
    made.add_settings('SITES["guestbook"]["rate_limit"] = None\n')
    made.fab("kokki:loadbalancer")


def test_certificates_by_acme_reach_both_loadbalancers_and_are_renewed(made: Fleet, visitor: Visitor) -> None:
    names_lead_to(made, SECOND)
    where = made.server(FIRST).private_ip
    made.add_settings(
        f'ACME_EMAIL, ACME_DIRECTORY, ACME_CA = "ops@guest.example", "https://{where}:14000/dir", "pebble.pem"\n'
        'SITES["guestbook"]["certificate"] = "acme"\n',
    )
    both = [Visitor(made.server(name).address, NAMES[0]) for name in (FIRST, SECOND)]
    # The authority is away: the first try fails and says so, and what was there serves on.
    told = made.fab("kokki:dbappbalancer")
    assert "Execute[certificate of guestbook] failed" in told
    assert "Connection refused" in told
    assert both[0].ask().signer == f"CN={NAMES[0]}"
    told = made.refused("dbappbalancer", "ssl.issue")
    assert "There is no certificate of guestbook yet" in told
    assert "Connection refused" in told
    made.sudo(FIRST, f"systemd-run -q --unit test-authority {OBLIGING} {AUTHORITY}")
    assert until(lambda: reaches(made, FIRST, 14000))
    for line in ("kokki:dbappbalancer", "kokki:loadbalancer"):
        made.fab(*line.split())
    assert "Pebble" in both[0].ask().signer
    made.sudo(SECOND, "systemctl start deploymachine-certificates-fetch")
    assert until(lambda: "Pebble" in both[1].ask().signer)
    served = {one.certificate() for one in both}
    assert len(served) == 1
    assert "ssl_stapling on;" in made.sudo(SECOND, "nginx -T 2>/dev/null")
    for name in (FIRST, SECOND):
        assert " 0 changes" in made.fab(f"server:{name}", "kokki").splitlines()[-1]
        assert " 0 changes" in made.fab(f"server:{name}", "kokki", "--dry-run").splitlines()[-1]
    due = "s/^.*renew_before_expiry.*/renew_before_expiry = 3650 days/"
    made.sudo(FIRST, f"sed -i '{due}' /etc/letsencrypt/renewal/guestbook.conf; systemctl start certbot.service")
    made.sudo(SECOND, "systemctl start deploymachine-certificates-fetch")
    assert until(lambda: served.isdisjoint({one.certificate() for one in both}))
    served = {one.certificate() for one in both}
    assert made.fab("dbappbalancer", "loadbalancer", "ssl.renew").count("Pebble") == 2
    assert until(lambda: served.isdisjoint({one.certificate() for one in both}))
    assert "Pebble" in made.fab("loadbalancer", "nginx.status")
    assert made.sudo(SECOND, "stat -c '%a %U' /etc/nginx/tls/guestbook.key").strip() == "600 root"
    strangers = f"timeout 5 openssl s_client -ign_eof -connect {where}:4402 </dev/null 2>&1 || true"
    assert "certificate required" in made.sudo(SECOND, strangers)
    assert "BEGIN" not in made.sudo(NODE, strangers)


def test_auditors_find_nothing_wrong_with_tls_and_nginx(made: Fleet, tmp_path: Path) -> None:
    """As a site is that has an authority's certificate."""
    place, address = audits.install(tmp_path / "auditors", *web_audits.PACKAGES), made.server(SECOND).address
    authority = made.sudo(FIRST, "curl -fsk https://127.0.0.1:15000/roots/0")
    (tmp_path / "authority.pem").write_text(authority)
    intermediate = web_audits.against_mozillas_intermediate(place, address, NAMES[0], tmp_path / "authority.pem")
    assert intermediate == []
    configuration = made.sudo(SECOND, "nginx -T 2>/dev/null")
    assert web_audits.of_nginx(place, configuration) == []
    assert web_audits.of_nginx(place, configuration.replace("server_tokens off", "server_tokens on")) != []
    found = web_audits.of_tls(made, NODE, address, NAMES[0], authority)
    assert {*found} <= {"LOW"}, found
    assert len(found.get("LOW", ())) <= 1, found


def test_without_acme_again_nobody_asks_or_fetches(made: Fleet, visitor: Visitor) -> None:
    made.add_settings('SITES["guestbook"]["certificate"] = "self-signed"\n')
    made.fab("dbappbalancer", "loadbalancer", "kokki")
    for name in (FIRST, SECOND):
        timers = made.sudo(name, "systemctl list-units --all --plain --no-legend 'certbot.timer' 'deploymachine-cert*'")
        assert "active waiting" not in timers.replace("inactive", "")
        assert "listening" not in timers
    made.sudo(SECOND, "systemctl start deploymachine-certificates-fetch 2>/dev/null || true")
    assert visitor.ask().status == 200
    assert " 0 changes" in made.fab("dbappbalancer", "loadbalancer", "kokki").splitlines()[-1]


def names_lead_to(fleet: Fleet, server: str) -> None:
    """Debian's pebble on the first loadbalancer, made ready, and the name server that it asks."""
    address, leads_to = fleet.server(FIRST).private_ip, fleet.server(server).private_ip
    options = f"-subj /CN=pebble -addext subjectAltName=IP:{address} -days 9 -keyout key.pem -out cert.pem"
    config = json.dumps({"pebble": SETTINGS})
    serve = f"-http01 '' -https01 '' -tlsalpn01 '' -doh '' -defaultIPv6 '' -defaultIPv4 {leads_to}"
    fleet.sudo(
        FIRST,
        f"""
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends pebble >&2
        mkdir -p {PEBBLE}; cd {PEBBLE}; echo '{config}' > config.json
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes {options} 2>/dev/null
        systemd-run -q --unit test-names pebble-challtestsrv {serve} -dns01 127.0.0.1:8053
        """,
    )
    (fleet.directory / "pebble.pem").write_text(fleet.sudo(FIRST, f"cat {PEBBLE}/cert.pem"))


def reaches(fleet: Fleet, server: str, port: int) -> bool:
    """Whether a process on FIRST finds somebody at that port of the server."""
    address = fleet.server(server).private_ip
    return "open" in fleet.sudo(
        FIRST, f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || true"
    )
