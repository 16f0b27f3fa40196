"""What RabbitMQ, the workers and CRON are told; and that RabbitMQ's passwords are recognised without being sent."""

from __future__ import annotations

import json

import pytest

SITE = {
    "name": "shop",
    "user": "site-shop",
    "root": "/srv/sites/shop",
    "bind": "10.0.0.5:8000",
    "wsgi": "shop.wsgi:application",
    "settings_module": "shop.settings",
    "directory": "",
    "environment": {},
    "workers": 2,
    "programs": [{"name": "celery-shop-mail", "command": "celery --app shop worker"}],
}


@pytest.fixture
def rabbitmq(declare):
    def declared(**attributes):
        return declare("rabbitmq", **{f"rabbitmq.{key}": value for key, value in attributes.items()})

    return declared


def test_it_listens_where_it_is_told_and_nowhere_else(rabbitmq, content):
    kitchen = rabbitmq(listen_addresses=["10.0.0.6", "fd00::6"], memory_mb=1000)
    told = content(kitchen, "/etc/rabbitmq/rabbitmq.conf").splitlines()
    assert [line for line in told if line.startswith("listeners")] == [
        "listeners.tcp.1 = 10.0.0.6:5672",
        "listeners.tcp.2 = [fd00::6]:5672",
    ]
    assert "vm_memory_high_watermark.absolute = 400MB" in told
    assert "{127,0,0,1}" in content(kitchen, "/etc/rabbitmq/rabbitmq-env.conf")


def test_with_an_identity_it_speaks_tls_alone(rabbitmq, content):
    kitchen = rabbitmq(listen_addresses=["10.0.0.6"], identity={"authority": "A", "certificate": "C", "key": "K"})
    told = content(kitchen, "/etc/rabbitmq/rabbitmq.conf").splitlines()
    listeners = [line for line in told if line.startswith("listeners")]
    assert listeners == ["listeners.tcp = none", "listeners.ssl.1 = 10.0.0.6:5672"]
    assert "ssl_options.keyfile = /etc/rabbitmq/tls/server.key" in told
    key = kitchen.resources["File"]["/etc/rabbitmq/tls/server.key"]
    assert (key.owner, key.group, key.mode) == ("root", "rabbitmq", 0o640)


def test_a_password_is_recognised_by_its_own_hash_alone(rabbitmq):
    library = rabbitmq().cookbooks.rabbitmq
    # The example of RabbitMQ's own documentation: password "test12".
    documented = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert library.verifies("test12", documented)
    assert not library.verifies("test13", documented)
    assert not library.verifies("test12", "")
    assert library.verifies("pencil", library.make_hash("pencil"))


def holding(**users):
    library_form = {
        "users": [{"name": name, "password_hash": stored} for name, stored in users.items()],
        "vhosts": [{"name": "/"}, *({"name": name} for name in users)],
        "permissions": [
            {"user": name, "vhost": name, "configure": ".*", "write": ".*", "read": ".*"} for name in users
        ],
    }
    return f"Exporting definitions\n{json.dumps(library_form)}\n"


def cooked(kitchen, name, action, printed):
    """Run one resource against what rabbitmqctl would print; returns what it was asked to do."""
    asked = []
    book = kitchen.cookbook("rabbitmq")
    book.library["rabbitmqctl"]  # read, so that what is put in its place stays

    def rabbitmqctl(*words, what):
        asked.append(words[0])
        return printed

    from contextlib import nullcontext

    book._library["rabbitmqctl"] = rabbitmqctl
    book._library["definitions"] = lambda wanted: nullcontext(asked.append(wanted))
    kitchen.run_action(kitchen.resources["RabbitmqUser"][name], action)
    return asked[1:]


def test_a_user_is_made_mended_and_left_alone(rabbitmq):
    stored = rabbitmq().cookbooks.rabbitmq.make_hash("pencil")
    for printed, changes in ((holding(), True), (holding(shop=stored), False), (holding(shop="AAAA"), True)):
        asked = cooked(rabbitmq(users={"shop": "pencil"}), "shop", "create", printed)
        assert bool(asked) is changes
        assert "pencil" not in str(asked)


def test_two_users_of_one_vhost_take_turns(rabbitmq):
    kitchen = rabbitmq(users={"shop": None, "shop-b": "pencil"}, vhosts={"shop-b": "shop", "shop": "shop"})
    (made,) = [wanted for wanted in cooked(kitchen, "shop-b", "create", holding()) if isinstance(wanted, dict)]
    assert made["vhosts"] == [{"name": "shop"}]
    assert [(one["user"], one["vhost"]) for one in made["permissions"]] == [("shop-b", "shop")]
    assert kitchen.resources["RabbitmqUser"]["shop"].action == ["delete"]


def test_guest_goes_and_stays_away(rabbitmq):
    assert cooked(rabbitmq(), "guest", "delete", holding(guest="AAAA")) == ["delete_user"]
    assert cooked(rabbitmq(), "guest", "delete", holding()) == []


def test_a_worker_ends_warmly_and_waits_for_its_first_release(declare, content):
    kitchen = declare("celery", **{"celery.sites": [SITE]})
    told = content(kitchen, "/etc/supervisor/conf.d/celery-shop-mail.conf").splitlines()
    command = "command=/srv/sites/shop/shared/run celery --app shop worker"
    assert {command, "user=site-shop", "exitcodes=75", "stopasgroup=false", "stopwaitsecs=60"} <= set(told)
    environment = kitchen.resources["File"]["/srv/sites/shop/shared/env"]
    assert {str(resource) for _action, resource in environment.subscriptions["delayed"]} == {
        "Execute[restart celery-shop-mail]"
    }


def test_workers_share_the_memory_and_a_beat_needs_none(declare, content):
    worker = {"command": "celery --app shop worker", "processes": 2}
    programs = [
        {"name": "celery-shop-mail", **worker},
        {"name": "celery-shop-slow", **worker},
        {"name": "beat-shop", "command": "celery --app shop beat"},
    ]
    kitchen = declare("celery", **{"celery.sites": [{**SITE, "memory_mb": 800, "programs": programs}]})
    commands = [
        next(
            line for line in content(kitchen, f"/etc/supervisor/conf.d/{one['name']}.conf").splitlines() if "=" in line
        )
        for one in programs
    ]
    run = "/srv/sites/shop/shared/run celery --app shop"
    share = f"command=/usr/bin/prlimit --data={200 << 20}: {run} worker --max-memory-per-child {160 << 10}"
    assert commands == [share, share, f"command={run} beat"]


def test_a_server_may_serve_a_site_and_do_its_tasks(declare):
    kitchen = declare("django", "celery", **{"django.sites": [SITE], "celery.sites": [SITE]})
    environment = kitchen.resources["File"]["/srv/sites/shop/shared/env"]
    assert {str(resource) for _action, resource in environment.subscriptions["delayed"]} == {
        "Execute[restart celery-shop-mail]",
        "Execute[reload site-shop]",
    }


def test_a_command_of_cron_reaches_it_word_for_word(declare, content):
    job = {"name": "cron-shop-x", "user": "site-shop", "root": "/srv/sites/shop", "calendar": "*-*-* 04:00:00"}
    kitchen = declare("django.cron", **{"django.cron": [{**job, "command": ["say", "it's 100% $HOME", 'a "b" \\']}]})
    unit = kitchen.resources["SystemdUnit"]["cron-shop-x.service"].content
    with kitchen:
        lines = unit().splitlines()
    words = r'"/srv/sites/shop/shared/run" "python" "manage.py" "say" "it' + r"'s 100%% $$HOME" + r'" "a \"b\" \\"'
    assert f"ExecStart={words}" in lines
    assert "User=site-shop" in lines
