"""One server with everything and one that does tasks: what a visitor, the servers themselves, and a stranger see."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
from collections.abc import Iterator

import pytest
from fleet import Fleet
from machine_world import until

pytestmark = pytest.mark.devcloud
ONE, TASKS, STRANGER = "dbappbalancer1", "tasknode1", "loadbalancer9"
SERVERS = f"""
OPENSTACK_SERVERS = {{
    "dbappbalancer": [("{ONE}", "m1.small")],
    "tasknode": [("{TASKS}", "m1.small")],
    "loadbalancer": [("{STRANGER}", "m1.small")],
}}
CRON = [{{"site": "guestbook", "schedule": "* * * * *", "command": "count_words"}}]
"""
LINES = ("openstack_bootem", "root provision", "dbappbalancer launch", "tasknode launch")
SLOW = """

@shared_task
def slow(path):
    import pathlib, time
    pathlib.Path(path + ".begun").touch()
    time.sleep(4)
    pathlib.Path(path).touch()
"""


@pytest.fixture(scope="module")
def made(devcloud) -> Iterator[Fleet]:
    """A deployment of its own; its third server is there to be a stranger, and is never launched."""
    home = devcloud.state.parent / "with-tasks"
    directory = home / "guestbook-with-tasks"
    directory.mkdir(parents=True)
    shutil.copy(devcloud.directory / "clouds.yaml", directory)
    fleet = Fleet(directory, home / "home", front=ONE)
    fleet.make()
    settings = directory / "settings.py"
    settings.write_text(settings.read_text() + SERVERS)
    for line in LINES:
        fleet.told[line] = fleet.try_command("fab", *line.split())
        assert fleet.told[line].code == 0, f"{line}\n{fleet.told[line].output}"
    yield fleet
    fleet.fab("openstack_sudokillem", "--yes-i-mean-it", directory.name)


def as_site(fleet: Fleet, server: str, code: str) -> str:
    """What Python prints where the site's own programs run, with their environment."""
    command = ["runuser", "-u", "site-guestbook", "--", "/srv/sites/guestbook/shared/run", "python", "-c", code]
    return fleet.sudo(server, shlex.join(command)).strip()


def cache_hits(fleet: Fleet) -> int:
    ask = "import os, redis; print(redis.Redis.from_url(os.environ['CACHE_URL']).info('stats')['keyspace_hits'])"
    return int(as_site(fleet, TASKS, ask))


def counted(fleet: Fleet, message: str) -> str:
    """What the page says below that message."""
    found = re.search(rf"<p>{message}</p>\s*<p class=\"counted\">([^<]+)<", fleet.get().text)
    return found[1] if found else ""


def closed(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except TimeoutError:
        return True
    return False


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


@pytest.mark.parametrize(("name", "port"), [(ONE, 6379), (ONE, 5432), (TASKS, 5672), (TASKS, 4369), (TASKS, 25672)])
def test_a_stranger_finds_the_doors_closed(made: Fleet, name: str, port: int) -> None:
    address = made.server(name).private_ip
    assert closed(address, port)
    probe = f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo closed"
    assert made.sudo(STRANGER, probe).strip() == "closed"


def test_nobody_comes_in_without_the_password(made: Fleet) -> None:
    redis, rabbitmq = made.server(ONE).private_ip, made.server(TASKS).private_ip
    refused = f"""
import amqp, os, redis
for login in ({{}}, {{"password": "guess"}}, {{"username": "guest", "password": "guest"}}):
    try:
        redis.Redis({redis!r}, **login).ping()
    except redis.exceptions.AuthenticationError:
        print("refused")
mine = os.environ["BROKER_URL"].split("//")[1].split("@")[0].split(":")
for user, password, vhost in (("guest", "guest", "/"), ("guestbook", "guess", "guestbook"), (*mine, "/")):
    try:
        amqp.Connection({rabbitmq!r} + ":5672", user, password, virtual_host=vhost).connect()
    except amqp.exceptions.AMQPError as error:
        print("refused")
"""
    assert as_site(made, TASKS, refused).split() == ["refused"] * 6
    assert "guest\t" not in made.sudo(TASKS, "rabbitmqctl -q list_users")


def test_another_cache_may_copy_this_one_and_do_nothing_else(made: Fleet) -> None:
    # As the deploy user, without sudo, which would write the password into its log.
    def sh(command: str) -> str:
        return made.ssh(ONE, command).output

    user, password = f"{made.directory.name}.replica", made.secret("cache-replica")
    link = f"replicaof {made.server(ONE).private_ip} 6379\nmasteruser {user}\nmasterauth {password}\n"
    sh(f"printf 'port 6390\nbind 127.0.0.1\nsave \"\"\ndaemonize yes\n{link}' | redis-server -")
    try:
        assert until(lambda: "master_link_status:up" in sh("redis-cli -p 6390 info replication"))
        assert made.get().status == 200
        assert until(lambda: "db0" in sh("redis-cli -p 6390 info keyspace"))
        assert "NOPERM" in sh(f"REDISCLI_AUTH={password} redis-cli --user {user} --no-auth-warning get x")
    finally:
        sh("redis-cli -p 6390 shutdown nosave")


def test_they_listen_where_they_are_told_and_nowhere_else(made: Fleet) -> None:
    def listening(name: str) -> set[str]:
        lines = made.sudo(name, "ss -tlnH").splitlines()
        return {line.split()[3] for line in lines}

    redis, rabbitmq = made.server(ONE).private_ip, made.server(TASKS).private_ip
    assert {one for one in listening(ONE) if one.endswith(":6379")} == {f"{redis}:6379", "127.0.0.1:6379"}
    of_tasks = {one for one in listening(TASKS) if not one.endswith(":2222")}
    assert of_tasks == {f"{rabbitmq}:5672", "127.0.0.1:4369", "127.0.0.1:25672"}


@pytest.mark.parametrize(
    ("name", "unit", "limit"),
    [(ONE, "redis-server", 1.5), (TASKS, "rabbitmq-server", 3.0), (TASKS, "cron-guestbook-count-words", 3.0)],
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
    made.commit("A slow task")
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
