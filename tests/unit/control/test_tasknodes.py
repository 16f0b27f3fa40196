"""tasknodes: which programs run where, who is let in to the broker, and what CRON becomes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploymachine import schedules
from deploymachine.errors import SettingsError, UsageError
from deploymachine.inventory import Inventory, Server
from deploymachine.runlist import run_lists
from deploymachine.servertypes import Deployment, attributes, firewall_rules, tasknode
from deploymachine.settings import load

NODES = (Server("tasknode1", "tasknode", "10.0.0.51", memory_mb=2048), Server("tasknode2", "tasknode", "10.0.0.52"))
BROKER = Server("broker1", "broker", "10.0.0.61")
CELERY = {"app": "blog", "queues": {"celery": 2, "mail.slow": 1}, "beat": True}
CRON = [{"site": "blog", "schedule": "*/10 * * * *", "command": "clear 'old things'"}]


def with_tasks(deployment: Deployment, *servers: Server, more: str = "") -> Deployment:
    """The deployment with Celery and CRON for its site, and those servers besides its own."""
    path = deployment.settings.directory / "settings.py"
    text = path.read_text().replace('"database": "blog",', f'"database": "blog", "celery": {CELERY!r},')
    path.write_text(f"{text}\nCRON = {CRON!r}\n{more}\n")
    settings = load(deployment.settings.directory)
    return Deployment(settings, Inventory([*deployment.inventory, *servers]), deployment.secrets)


@pytest.fixture
def tasks(deployment: Deployment) -> Deployment:
    return with_tasks(deployment, *NODES)


def programs(found: Deployment, name: str) -> dict[str, str]:
    sites = attributes(found.inventory.named(name), found)["celery.sites"]
    return {program["name"]: program["command"] for site in sites for program in site["programs"]}


def test_every_node_has_a_worker_for_each_queue_and_one_has_the_beat(tasks: Deployment) -> None:
    first, second = programs(tasks, "tasknode1"), programs(tasks, "tasknode2")
    assert set(second) == {"celery-blog-celery", "celery-blog-mail.slow"}
    assert set(first) - set(second) == {"beat-blog"}
    words = first["celery-blog-mail.slow"].split()
    assert words[:4] == ["celery", "--app", "blog", "worker"]
    assert {"mail.slow", "1", "blog.mail.slow@tasknode1"} <= set(words)


def test_the_broker_runs_on_the_first_node_and_lets_in_who_uses_it(tasks: Deployment) -> None:
    first, second = (attributes(node, tasks) for node in NODES)
    assert (first["rabbitmq.run"], second["rabbitmq.run"]) == (True, False)
    assert first["rabbitmq.listen_addresses"] == ["10.0.0.51"]
    assert set(first["rabbitmq.users"]) == {"blog"}
    rules = {(rule["port"], source) for rule in first["base.firewall_rules"] for source in rule["sources"]}
    assert rules == {(5672, f"10.0.0.{last}") for last in (21, 22, 51, 52)}


def test_pages_and_tasks_have_the_same_environment(tasks: Deployment) -> None:
    password = tasks.secrets.password("broker-blog")
    page = attributes(tasks.inventory.named("appnode1"), tasks)["django.sites"][0]["environment"]
    task = attributes(NODES[1], tasks)["celery.sites"][0]["environment"]
    assert page == task
    assert page["BROKER_URL"] == f"amqps://blog:{password}@10.0.0.51:5672/blog"
    assert password not in repr(page)


def test_a_site_without_celery_or_a_deployment_without_tasknodes_has_no_broker(deployment: Deployment) -> None:
    plain = Deployment(deployment.settings, Inventory([*deployment.inventory, *NODES]), deployment.secrets)
    assert attributes(NODES[0], plain)["celery.sites"] == []
    for found in (plain, with_tasks(deployment)):
        site = attributes(found.inventory.named("appnode1"), found)["django.sites"][0]
        assert "BROKER_URL" not in site["environment"]


def test_a_broker_of_its_own_takes_it_over(deployment: Deployment) -> None:
    named = 'OPENSTACK_SERVERS["broker"] = [("broker1", "m1.small")]'
    found = with_tasks(deployment, *NODES, BROKER, more=named)
    assert attributes(NODES[0], found)["rabbitmq.run"] is False
    assert firewall_rules(NODES[0], found) == []
    broker = attributes(BROKER, found)
    assert (broker["rabbitmq.run"], broker["rabbitmq.memory_share"]) == (True, 0.4)
    assert {source for rule in broker["base.firewall_rules"] for source in rule["sources"]} == {
        f"10.0.0.{last}" for last in (21, 22, 51, 52)
    }
    assert "@10.0.0.61:5672/" in attributes(NODES[0], found)["celery.sites"][0]["environment"]["BROKER_URL"]
    without = replace(found, inventory=Inventory(one for one in found.inventory if one != BROKER))
    with pytest.raises(UsageError, match="nobody to take tasks from"):
        attributes(NODES[0], without)


def test_the_dbserver_lets_in_tasknodes_too(tasks: Deployment) -> None:
    found = attributes(tasks.inventory.named("dbserver1"), tasks)
    everybody = {f"10.0.0.{last}" for last in (21, 22, 51, 52)}
    assert {client["address"] for client in found["postgresql.clients"]} == everybody
    assert {source for rule in found["base.firewall_rules"] for source in rule["sources"]} == everybody


def test_cron_runs_on_one_server_only(tasks: Deployment, deployment: Deployment) -> None:
    jobs = {server.name: attributes(server, tasks).get("django.cron", []) for server in tasks.inventory}
    assert {name for name, found in jobs.items() if found} == {"tasknode1"}
    (job,) = jobs["tasknode1"]
    assert (job["name"], job["command"]) == ("cron-blog-clear-old-things", ["clear", "old things"])
    alone = replace(tasks, inventory=deployment.inventory)
    assert [s.name for s in alone.inventory if attributes(s, alone).get("django.cron")] == ["appnode1"]


def test_a_site_is_released_where_something_of_it_is_done(tasks: Deployment) -> None:
    where = {server.name for server in tasks.inventory if tasknode.runs("blog", server, tasks)}
    assert where == {"appnode1", "appnode2", "tasknode1", "tasknode2"}
    found = tasknode.release_attributes("blog", NODES[1], tasks)
    assert (found["serves"], found["celery_app"], len(found["programs"])) == (False, "blog", 2)
    assert tasknode.release_attributes("blog", tasks.inventory.named("appnode1"), tasks)["programs"] == []


def test_the_run_list_of_a_node(tasks: Deployment) -> None:
    assert run_lists(NODES[:1], tasks)["tasknode1"].recipes[-4:] == (
        "supervisor",
        "pgbouncer",
        "rabbitmq",
        "celery",
    )


SCHEDULES = {
    "*/20 * * * *": "*-*-* *:00,20,40:00",
    "0 4 * * mon-fri": "Mon,Tue,Wed,Thu,Fri *-*-* 04:00:00",
    "15 2 1,15 * *": "*-*-01,15 02:15:00",
    "0 0 * * 7": "Sun *-*-* 00:00:00",
    "* * * * *": "*-*-* *:*:00",
    "5-20/5 8 * jan,Mar *": "*-01,03-* 08:05,10,15,20:00",
    "@weekly": "Sun *-*-* 00:00:00",
    "30/15 * * * 0-6": "*-*-* *:30,45:00",
}


@pytest.mark.parametrize(("schedule", "expected"), SCHEDULES.items())
def test_a_schedule_means_in_systemd_what_it_means_in_cron(schedule: str, expected: str) -> None:
    told = schedules.calendar(schedule)
    assert told.replace("Sun,Mon,Tue,Wed,Thu,Fri,Sat ", "") == expected
    if shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "calendar", told], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        ("* * * *", "neither five fields"),
        ("60 * * * *", "minute '60'"),
        ("*/0 * * * *", "no time at all"),
        ("5-2 * * * *", "no time at all"),
        ("0 0 1 * mon", "two entries"),
        ("0 0 * foo *", "month 'foo'"),
        ("? * * * *", "can't be read"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str, word: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        schedules.calendar(schedule)
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('CRON = [{"site": "blgo", "schedule": "@daily", "command": "x"}]', ["CRON[0]['site']", "did you mean 'blog'"]),
        ('CRON = [{"site": "blog", "schedule": "* * *", "command": "x"}]', ["CRON[0]['schedule']", "five fields"]),
        ('CRON = [{"site": "blog", "schedule": "@daily", "command": " "}]', ["CRON[0]['command']", "manage.py"]),
        ('CRON = [{"site": "blog", "schedule": "@daily", "comand": "x"}]', ["comand", "did you mean 'command'"]),
        ('CRON = [{"site": "blog", "schedule": "@daily", "command": "x"}] * 2', ["CRON[1]", "already"]),
        ('SITES["blog"]["celery"] = {"app": "b", "queue": {}}', ["'queue'", "did you mean 'queues'"]),
        ('SITES["blog"]["celery"] = {"app": "b", "queues": {"a b": 1}}', ["SITES['blog']['celery']['queues']", "a b"]),
        ('SITES["blog"]["celery"] = {"app": "b c"}', ["SITES['blog']['celery']['app']", "b c"]),
    ],
)
def test_a_mistake_in_the_settings_is_named(directory: Path, text: str, words: list[str]) -> None:
    path = directory / "settings.py"
    path.write_text(f"{path.read_text()}\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load(directory)
    for word in words:
        assert word in str(caught.value)
