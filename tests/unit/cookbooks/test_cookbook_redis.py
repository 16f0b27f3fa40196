"""What Redis is told: who may come in, how much memory it may take, whose writes it copies."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import time

import pytest

CONF, REPLICATION = "/etc/redis/redis.conf", "/etc/redis/replication.conf"
KEEPER = {"user": "shop.keeper", "password": "keeper-password"}
REPLICAS = {"user": "shop.replica", "password": "copy-password"}


@pytest.fixture
def redis(declare):
    def declared(**attributes):
        given = {"users": {"shop.sites": "site-password"}, "memory_mb": 1000, "replicas": REPLICAS, **attributes}
        return declare("redis", **{f"redis.{key}": value for key, value in given.items()})

    return declared


def lines(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_it_listens_where_it_is_told_and_on_the_loopback(redis, content):
    told = lines(content(redis(listen_addresses=["10.0.0.6"]), CONF))
    assert {"bind 127.0.0.1 10.0.0.6", "port 6379", "protected-mode yes"} <= set(told)


def test_nobody_comes_in_without_a_name_and_no_password_stands_in_the_file(redis, content):
    text = content(redis(), CONF)
    assert "user default off" in lines(text)
    assert f"user shop.sites on #{hashlib.sha256(b'site-password').hexdigest()} " in text
    assert "site-password" not in text
    assert "copy-password" not in text
    assert "replicaof" not in text


def test_only_a_copy_holds_the_password_it_copies_with(redis, content):
    kitchen = redis(replica_of="10.0.0.5")
    assert f"include {REPLICATION}" in lines(content(kitchen, CONF))
    assert "copy-password" not in content(kitchen, CONF)
    told = lines(content(kitchen, REPLICATION))
    assert told == ["replicaof 10.0.0.5 6379", "masteruser shop.replica", "masterauth copy-password"]
    assert lines(content(redis(), REPLICATION)) == []


def test_whom_it_copies_is_told_to_the_one_that_runs_which_keeps_what_it_holds(redis, content):
    kitchen = redis(keeper=KEEPER, identity=PROOF)
    file = kitchen.resources["File"][REPLICATION]
    order = kitchen.resources["Execute"]["tell Redis whom it copies"]
    assert file.subscriptions["delayed"] == {("run", order)}
    assert order.environment == {"REDISCLI_AUTH": "keeper-password"}
    assert "keeper-password" not in order.command
    assert "keeper-password" not in content(kitchen, CONF)
    rights = next(line for line in lines(content(kitchen, CONF)) if line.startswith("user shop.keeper "))
    assert rights.split()[4:] == ["+replicaof", "+config|set", "+info", "+ping"]
    without = redis().resources["File"][REPLICATION]
    assert {action for action, _service in without.subscriptions["delayed"]} == {"restart"}


def test_the_orders_are_the_lines_of_the_file(redis, content, tmp_path, run):
    (tmp_path / "redis-cli").write_text("#!/bin/sh\ntee -a $0.told | sed s/.*/OK/\n")
    (tmp_path / "redis-cli").chmod(0o755)
    path = tmp_path / "replication.conf"
    for of in ("10.0.0.5", None):
        kitchen = redis(keeper=KEEPER, replica_of=of)
        path.write_text(content(kitchen, REPLICATION))
        command = kitchen.resources["Execute"]["tell Redis whom it copies"].command.replace(REPLICATION, str(path))
        run("env", f"PATH={tmp_path}:/usr/bin:/bin", "sh", "-c", command)
    assert (tmp_path / "redis-cli.told").read_text().splitlines() == [
        "CONFIG SET masteruser shop.replica",
        "CONFIG SET masterauth copy-password",
        "CONFIG SET replica-read-only yes",
        "REPLICAOF 10.0.0.5 6379",
        "CONFIG SET replica-read-only yes",
        "REPLICAOF NO ONE",
    ]


@pytest.mark.parametrize(
    ("attributes", "limit"),
    [({}, 600), ({"memory_share": 0.125}, 125), ({"memory_mb": 10}, 32), ({"maxmemory_mb": 77}, 77)],
)
def test_its_memory_is_a_share_of_the_machines(redis, content, attributes, limit):
    told = lines(content(redis(**attributes), CONF))
    assert {f"maxmemory {limit}mb", "maxmemory-policy allkeys-lru"} <= set(told)


PROOF = {"authority": "A", "certificate": "C", "key": "K"}


def test_with_an_identity_it_speaks_tls_alone(redis, content):
    kitchen = redis(identity=PROOF)
    told = lines(content(kitchen, CONF))
    assert {"port 0", "tls-port 6379", "tls-replication yes", "tls-key-file /etc/redis/tls/server.key"} <= set(told)
    key = kitchen.resources["File"]["/etc/redis/tls/server.key"]
    assert (key.owner, key.group, key.mode) == ("root", "redis", 0o640)
    assert {action for action, _service in key.subscriptions["delayed"]} == {"restart"}
    assert "tls" not in content(redis(), CONF)


def test_it_forgets_unless_it_is_told_not_to(redis, content):
    assert {'save ""', "appendonly no"} <= set(lines(content(redis(), CONF)))
    assert "appendonly yes" in lines(content(redis(persistent=True), CONF))


def test_what_is_set_further_comes_last(redis, content):
    assert lines(content(redis(settings={"maxclients": 50}), CONF))[-1] == "maxclients 50"


def test_only_root_and_redis_read_the_file_and_any_change_restarts_it(redis):
    kitchen = redis()
    file = kitchen.resources["File"][CONF]
    assert (file.owner, file.group, file.mode) == ("root", "redis", 0o640)
    unit = kitchen.resources["SystemdUnit"]["redis-server.service.d/deploymachine.conf"]
    for resource in (file, unit):
        assert {action for action, _service in resource.subscriptions["delayed"]} == {"restart"}


def test_redis_takes_its_file(redis, content, tmp_path):
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kitchen, included = redis(port=port, settings={"dir": tmp_path}), tmp_path / "replication.conf"
    (tmp_path / "redis.conf").write_text(content(kitchen, CONF).replace(REPLICATION, str(included)))
    included.write_text(content(kitchen, REPLICATION))
    with subprocess.Popen([server, tmp_path / "redis.conf"], stdout=subprocess.DEVNULL) as process:
        try:
            assert answer(port, "PING").startswith("-NOAUTH")
            assert answer(port, "AUTH shop.sites site-password", "FLUSHDB").endswith("+OK")
            assert "-NOPERM" in answer(port, "AUTH shop.sites site-password", "CONFIG GET *")
        finally:
            process.terminate()


def answer(port, *commands):
    """The last line that Redis answers to each command."""
    deadline = time.monotonic() + 10
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), 5)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
    with connection:
        said = []
        for command in commands:
            connection.sendall(command.encode() + b"\r\n")
            said.append(connection.recv(4096).decode().strip())
    return said[-1]
