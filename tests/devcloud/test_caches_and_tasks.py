"""One server with everything, a cache and tasks besides; then others take over from those: what everybody sees."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from fleet import Fleet, own_deployment
from load import load
from machine_world import until
from tasks_world import GREEDY, SLOW, as_site, cache_hits, caches, closed, counted, leads, renamed

pytestmark = pytest.mark.devcloud
ONE, TASKS, CACHE, NEXT, BROKER = "dbappbalancer1", "tasknode1", "cachenode1", "tasknode2", "broker1"
SERVERS = f"""
OPENSTACK_SERVERS = {{
    "dbappbalancer": [("{ONE}", "m1.small")],
    "tasknode": [("{TASKS}", "m1.small")],
    "cachenode": [("{CACHE}", "m1.small")],
}}
CRON = [{{"site": "guestbook", "schedule": "* * * * *", "command": "count_words"}}]
"""
LINES = ("openstack_bootem", "root provision", "cachenode launch", "dbappbalancer launch", "tasknode launch")


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    """A deployment of its own, never more than three servers of it at a time."""
    home = devcloud.state.parent / "with-tasks"
    with own_deployment(devcloud.directory / "clouds.yaml", home, ONE, SERVERS, LINES) as fleet:
        yield fleet


def test_one_server_serves_the_book_with_its_cache(made: Fleet) -> None:
    assert made.get().status == 200
    before = cache_hits(made)
    assert 'id="cached"' in made.get().text
    assert cache_hits(made) > before


def test_it_fits_into_one_gigabyte(made: Fleet) -> None:
    for _ in range(20):
        made.get()
    shares = "grep -h ^Pss: /proc/[0-9]*/smaps_rollup 2>/dev/null || true"
    used = {name: sum(int(line.split()[1]) for line in made.sudo(name, shares).splitlines()) for name in (ONE, TASKS)}
    assert {name: kilobytes < 900 * 1024 for name, kilobytes in used.items()} == {ONE: True, TASKS: True}, used


def test_a_signature_is_counted_by_a_worker_and_the_page_says_so(made: Fleet) -> None:
    assert made.sign("Ada", "five words and no more").status == 302
    assert until(lambda: counted(made, "five words and no more"), 10) == f"5 words, counted by {TASKS}"
    log = made.sudo(TASKS, "cat /var/log/supervisor/celery-guestbook-celery.log")
    assert "entries.tasks.count_words" in log


def test_there_is_one_beat(made: Fleet) -> None:
    told = {name: made.sudo(name, "supervisorctl status || true") for name in (ONE, TASKS)}
    assert {name: len(re.findall(r"beat-guestbook +RUNNING", text)) for name, text in told.items()} == {
        ONE: 0,
        TASKS: 1,
    }
    assert "celery-" not in told[ONE]


def test_cron_runs_on_one_server_and_what_it_prints_is_kept(made: Fleet) -> None:
    journal = "journalctl --no-pager -o cat -t cron-guestbook-count-words"
    assert until(lambda: "counted 0" in made.sudo(TASKS, journal), 90)
    assert made.sudo(ONE, "ls /etc/systemd/system | grep cron- || true") == ""


def test_pages_and_tasks_are_of_one_release_migrated_once(made: Fleet) -> None:
    live = {made.sudo(name, "readlink /srv/sites/guestbook/current") for name in (ONE, TASKS)}
    assert len(live) == 1
    assert "migrate" not in made.told["tasknode launch"].output


def test_again_nothing_changes(made: Fleet) -> None:
    for line in ("dbappbalancer launch", "tasknode launch"):
        assert " 0 changes" in made.fab(*line.split()).splitlines()[-1]
    assert " 0 changes" in made.fab("server:" + TASKS, "kokki", "--dry-run").splitlines()[-1]


@pytest.mark.parametrize(("name", "port"), [(ONE, 5432), (TASKS, 5672), (TASKS, 4369), (TASKS, 25672)])
def test_a_stranger_finds_the_doors_closed(made: Fleet, name: str, port: int) -> None:
    address = made.server(name).private_ip
    assert closed(address, port)
    probe = f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed"
    assert made.sudo(CACHE, probe).strip() == "closed"


def test_nobody_comes_in_without_the_password(made: Fleet) -> None:
    redis, rabbitmq = made.server(ONE).private_ip, made.server(TASKS).private_ip
    refused = f"""
import amqp, os, redis
for login in ({{}}, {{"password": "guess"}}, {{"username": "guest", "password": "guest"}}):
    try:
        redis.Redis({redis!r}, ssl=True, **login).ping()
    except redis.exceptions.AuthenticationError:
        print("refused")
mine = os.environ["BROKER_URL"].split("//")[1].split("@")[0].split(":")
for user, password, vhost in (("guest", "guest", "/"), ("guestbook", "guess", "guestbook"), (*mine, "/")):
    try:
        amqp.Connection({rabbitmq!r} + ":5672", user, password, virtual_host=vhost, ssl=True).connect()
    except amqp.exceptions.AMQPError as error:
        print("refused")
"""
    assert as_site(made, TASKS, refused).split() == ["refused"] * 6
    assert "guest\t" not in made.sudo(TASKS, "rabbitmqctl -q list_users")


def test_the_first_cache_is_written_to_and_the_other_copies_it_and_may_do_nothing_else(made: Fleet) -> None:
    assert made.get().status == 200
    first, second = caches(made, "replication")
    assert (first["role"], first["connected_slaves"], second["role"]) == ("master", 1, "slave")
    assert second["master_host"] == made.server(CACHE).private_ip
    assert until(lambda: caches(made, "replication")[1]["master_link_status"] == "up")
    assert until(lambda: all("db0" in info for info in caches(made, "keyspace")))
    ask = """
import redis
words = [line.split() for line in open("/etc/redis/replication.conf")]
host, user, password = (next(w[1] for w in words if w[:1] == [n]) for n in ("replicaof", "masteruser", "masterauth"))
copier = redis.Redis(host, username=user, password=password, ssl=True)
for words in (["get", "x"], ["flushdb"], ["config", "get", "*"]):
    try:
        print(copier.execute_command(*words))
    except redis.exceptions.NoPermissionError:
        print("refused")
"""
    # The password stays on the server: sudo writes down what it runs.
    told = made.sudo(ONE, shlex.join(["/srv/sites/guestbook/current/.venv/bin/python", "-c", ask]))
    assert told.split() == ["refused"] * 3


@pytest.mark.parametrize(("name", "port"), [(CACHE, 6379), (TASKS, 5672)])
def test_nobody_reads_what_passes_between_servers(made: Fleet, name: str, port: int) -> None:
    # As a site does: with the authorities that the server trusts; and with those of a server that has no sites.
    look = (
        f"echo | timeout 10 openssl s_client -verify_return_error -connect {made.server(name).private_ip}:{port} 2>&1"
    )
    assert "Verify return code: 0 (ok)" in made.sudo(ONE, f"{look}; true")
    nobody = "-no-CApath -no-CAfile -no-CAstore"
    assert "certificate verify failed" in made.sudo(ONE, f"{look} {nobody}; true")
    assert f"CN = {name}" in made.sudo(ONE, f"{look}; true").replace("CN=", "CN = ")


def test_they_listen_where_they_are_told_and_nowhere_else(made: Fleet) -> None:
    def listening(name: str) -> set[str]:
        lines = made.sudo(name, "ss -tlnH").splitlines()
        return {line.split()[3] for line in lines}

    redis, rabbitmq = made.server(ONE).private_ip, made.server(TASKS).private_ip
    assert {one for one in listening(CACHE) if not one.endswith(":2222")} == {
        f"{made.server(CACHE).private_ip}:6379",
        "127.0.0.1:6379",
    }
    assert {one for one in listening(ONE) if one.endswith(":6379")} == {f"{redis}:6379", "127.0.0.1:6379"}
    of_tasks = {one for one in listening(TASKS) if not one.endswith(":2222")}
    loopback = {f"127.0.0.1:{port}" for port in (4369, 25672, 6432)}  # Erlang's own two, and pgbouncer
    assert of_tasks == {f"{rabbitmq}:5672", *loopback}


@pytest.mark.parametrize(
    ("name", "unit", "limit"),
    [
        (ONE, "redis-server", 1.5),
        (ONE, "supervisor", 3.0),
        (TASKS, "supervisor", 3.0),
        (TASKS, "rabbitmq-server", 3.0),
        (TASKS, "epmd", 3.0),
        (TASKS, "cron-guestbook-count-words", 3.0),
    ],
)
def test_their_units_can_do_little_else(made: Fleet, name: str, unit: str, limit: float) -> None:
    told = made.sudo(name, f"systemd-analyze --no-pager security {unit}")
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", told)[1]) <= limit  # type: ignore[index]


def test_secrets_are_nowhere_to_be_read(made: Fleet) -> None:
    collect = "ps axww; journalctl --no-pager; find /var/log /var/lib/deploymachine -type f -exec cat {} +"
    passwords = [made.secret(name) for name in ("cache", "cache-replica", "broker-guestbook")]
    for name in (ONE, TASKS):
        told = made.sudo(name, collect)
        assert [password for password in passwords if password in told] == []
        assert made.ssh(name, "cat /etc/redis/redis.conf /srv/sites/guestbook/shared/env").code != 0
    for ended in made.told.values():
        assert [password for password in passwords if password in ended.output] == []


def test_a_new_release_lets_a_worker_finish_what_it_has_begun(made: Fleet) -> None:
    tasks = made.site / "entries/tasks.py"
    tasks.write_text(tasks.read_text() + SLOW)
    urls = made.site / "guestbook/urls.py"
    urls.write_text(urls.read_text() + GREEDY)
    made.commit("A slow task, and a page that wants a lot")
    for kind in ("dbappbalancer", "tasknode"):
        made.fab(kind, "launch")
    path = "/srv/sites/guestbook/shared/media/slow"
    as_site(made, TASKS, f"import django; django.setup(); from entries.tasks import slow; slow.delay({path!r})")
    assert until(lambda: made.sudo(TASKS, f"ls {path}.begun 2>/dev/null || true"), 20)
    made.commit("Another release")
    made.fab("dbappbalancer", "launch")
    assert "1 answered" in made.fab("tasknode", "launch")
    assert made.sudo(TASKS, f"ls {path}").strip() == path
    assert made.sign("Grace", "still counted").status == 302
    assert until(lambda: counted(made, "still counted"), 10)


def test_a_release_whose_workers_die_is_taken_back(made: Fleet) -> None:
    before = made.sudo(TASKS, "readlink /srv/sites/guestbook/current")
    celery = made.site / "guestbook/celery.py"
    text = celery.read_text()
    celery.write_text(text + '\nimport sys\nif "worker" in sys.argv:\n    sys.exit("no worker today")\n')
    made.commit("Workers that die")
    made.fab("dbappbalancer", "launch")
    message = made.refused("tasknode", "launch")
    for word in ("celery-guestbook-celery", "no worker today", f"went back to {before.strip().rpartition('/')[2]}"):
        assert word in message
    assert made.sudo(TASKS, "readlink /srv/sites/guestbook/current") == before
    celery.write_text(text)
    made.commit("As it was")
    for kind in ("dbappbalancer", "tasknode"):
        made.fab(kind, "launch")
    assert made.sign("Grace", "counted again").status == 302
    assert until(lambda: counted(made, "counted again"), 10)


def test_what_asks_for_more_memory_than_its_share_fails_alone(made: Fleet) -> None:
    limits = "for pid in $(pgrep -u site-guestbook -f {}); do grep 'Max data size' /proc/$pid/limits; done"
    for name, program in ((ONE, "gunicorn"), (TASKS, "celery.*worker")):
        limited = [line.split()[3] for line in made.sudo(name, limits.format(program)).splitlines()]
        shares = {int(one) >> 20 for one in limited if one != "unlimited"}
        assert shares, limited
        assert max(shares) <= 2048, limited
    assert made.get("/greedy?mb=10").text == str(10 << 20)
    workers = made.sudo(ONE, "pgrep -u site-guestbook -f gunicorn")
    assert made.get("/greedy?mb=3000").status == 500
    assert made.sudo(ONE, "pgrep -u site-guestbook -f gunicorn") == workers
    assert "MemoryError" in made.sudo(ONE, "tail -n 50 /var/log/supervisor/site-guestbook.log")
    assert made.get().status == 200


def test_a_log_that_grows_is_turned_over_and_nothing_of_it_is_lost(made: Fleet) -> None:
    path = "/var/log/supervisor/site-guestbook.log"
    assert made.get("/greedy?lines=150000").status == 200
    seen = made.sudo(ONE, f"cat {path}.1 {path} | grep -a ^numbered | awk '{{print $2}}' | md5sum")
    assert seen == made.sudo(ONE, "seq 0 149999 | md5sum")
    sizes = made.sudo(ONE, f"stat -c '%s %a' {path}*").splitlines()
    assert {int(line.split()[0]) <= 11 << 20 for line in sizes} == {True}, sizes
    assert {line.split()[1] for line in sizes} == {"640"}, sizes


@pytest.fixture(scope="module")
def without_cache(made: Fleet) -> Fleet:
    """The cache that was written to goes, while visitors come."""
    certificate = made.directory / ".deploymachine/certificates/guestbook.pem"
    with load(made.server(ONE).address, certificate, visitors=3) as visitors:
        visitors.goes_on(30)
        made.fab("openstack_kill", CACHE, "--yes", "--yes-i-mean-it", CACHE)
        visitors.goes_on(30)
    assert visitors.failures == []
    return made


def test_when_the_first_cache_goes_the_other_is_written_to_and_no_visitor_notices(without_cache: Fleet) -> None:
    [only] = caches(without_cache, "replication")
    assert (only["role"], only["connected_slaves"]) == ("master", 0)
    before = cache_hits(without_cache)
    assert 'id="cached"' in [without_cache.get() for _ in range(2)][-1].text
    assert cache_hits(without_cache) > before


@pytest.fixture(scope="module")
def two_nodes(without_cache: Fleet) -> Fleet:
    """A second tasknode, for a while."""
    fleet = without_cache
    renamed(fleet, f'"cachenode": [("{CACHE}", "m1.small")],', "")
    renamed(fleet, f'[("{TASKS}", "m1.small")]', f'[("{TASKS}", "m1.small"), ("{NEXT}", "m1.small")]')
    for line in (f"openstack_boot {NEXT}", "root provision", "tasknode launch"):
        fleet.fab(*line.split())
    return fleet


def test_of_two_tasknodes_one_leads_and_both_work(two_nodes: Fleet) -> None:
    everything = ["beat", "cron", "broker"]
    assert {name: leads(two_nodes, name) for name in (ONE, TASKS, NEXT)} == {ONE: [], TASKS: everything, NEXT: []}
    asked = ["celery", "--app", "guestbook", "inspect", "ping"]
    run = ["runuser", "-u", "site-guestbook", "--", "/srv/sites/guestbook/shared/run", *asked]
    told = two_nodes.sudo(NEXT, shlex.join(run))
    assert {f"guestbook.celery@{name}" in told for name in (TASKS, NEXT)} == {True}
    assert " 0 changes" in two_nodes.fab("everything", "kokki").splitlines()[-1]


@pytest.fixture(scope="module")
def second_leads(two_nodes: Fleet) -> Fleet:
    """The first tasknode goes, with tasks begun and more of them waiting in its queues."""
    call = "[slow.delay(f'/srv/sites/guestbook/shared/media/{n}') for n in range(10)]"
    two_nodes.told["refused"] = two_nodes.try_command("fab", "openstack_kill", TASKS, "--yes")
    as_site(two_nodes, ONE, f"import django; django.setup(); from entries.tasks import slow; {call}")
    two_nodes.told["kill"] = two_nodes.try_command("fab", "openstack_kill", TASKS, "--yes", "--yes-i-mean-it", TASKS)
    return two_nodes


def test_the_next_takes_over_and_no_task_is_lost(second_leads: Fleet) -> None:
    refused, killed = second_leads.told["refused"], second_leads.told["kill"]
    assert refused.code == 1
    assert "the tasks that wait in its queues go with it" in refused.output
    assert (killed.code, "not done in time" in killed.output) == (0, False), killed.output
    assert leads(second_leads, NEXT) == ["beat", "cron", "broker"]
    count = "import django; django.setup(); from entries.models import Entry"
    done = f"{count}; print(Entry.objects.filter(name='slow', message__regex='media/[0-9]$').count())"
    assert until(lambda: as_site(second_leads, ONE, done) == "10", 60), as_site(second_leads, ONE, done)
    assert second_leads.sign("Ada", "after the change").status == 302
    assert until(lambda: counted(second_leads, "after the change"), 20) == f"3 words, counted by {NEXT}"
    assert " 0 changes" in second_leads.fab("everything", "kokki").splitlines()[-1]


@pytest.fixture(scope="module")
def with_broker(second_leads: Fleet) -> Fleet:
    """RabbitMQ moves to a server of its own."""
    fleet = second_leads
    renamed(fleet, f'("{TASKS}", "m1.small"), ', "")
    renamed(fleet, f'("{NEXT}", "m1.small")],', f'("{NEXT}", "m1.small")],\n    "broker": [("{BROKER}", "m1.small")],')
    for line in (f"openstack_boot {BROKER}", "root provision", "broker launch", "everything kokki"):
        fleet.fab(*line.split())
    return fleet


def test_a_broker_of_its_own_hands_out_the_tasks(with_broker: Fleet) -> None:
    wanted = {BROKER: ["broker"], NEXT: ["beat", "cron"]}
    assert until(lambda: {name: leads(with_broker, name) for name in wanted} == wanted), leads(with_broker, NEXT)
    assert with_broker.sign("Ada", "by way of the broker").status == 302
    assert until(lambda: counted(with_broker, "by way of the broker"), 20) == f"5 words, counted by {NEXT}"
    address = with_broker.server(BROKER).private_ip
    told = {line.split()[3] for line in with_broker.sudo(BROKER, "ss -tlnH").splitlines()}
    assert {one for one in told if not one.endswith(":2222")} == {
        f"{address}:5672",
        "127.0.0.1:4369",
        "127.0.0.1:25672",
    }
    assert with_broker.sudo(BROKER, "rabbitmqctl -q list_users --no-table-headers").split()[0] == "guestbook"
    assert " 0 changes" in with_broker.fab("everything", "kokki").splitlines()[-1]


def test_a_broker_is_a_stranger_to_the_cache_and_the_database(with_broker: Fleet) -> None:
    address = with_broker.server(ONE).private_ip
    for port in (6379, 5432):
        probe = f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed"
        assert with_broker.sudo(BROKER, probe).strip() == "closed"
        assert closed(address, port)
