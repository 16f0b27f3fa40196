"""A server that is to go: what it is told to stop, what it waits for, and what it says was not done."""

from __future__ import annotations

import json

import pytest
import retire
from agent import _dispatch


class Server:
    """units: what systemd runs. queues: vhost -> how many wait, look by look. programs: what supervisor has."""

    def __init__(self, monkeypatch, *, units=(), queues=None, programs=(), killed=()):
        self.units, self.queues, self.programs, self.killed = list(units), queues or {}, list(programs), killed
        self.ran = []
        self.stopped = []
        monkeypatch.setattr(retire, "_run", self.run)
        monkeypatch.setattr(retire, "_programs", lambda prefix: [p for p in self.there() if p.name.startswith(prefix)])
        monkeypatch.setattr(retire, "PAUSE", 0)

    def there(self):
        return [Program(name, self) for name in self.programs]

    def run(self, *command):
        self.ran.append(" ".join(command))
        if command[0] == "rabbitmqctl":
            return "Listing ...\n" + json.dumps(self.told(command))
        if command[:2] == ("systemctl", "disable"):
            self.units = [unit for unit in self.units if unit not in command]
        kind = command[-1].rpartition(".")[2]
        return "".join(f"{unit} loaded active\n" for unit in self.units if unit.endswith(kind))

    def told(self, command):
        if "list_vhosts" in command:
            return [{"name": name} for name in self.queues]
        seen = self.queues[command[command.index("--vhost") + 1]]
        return [{"name": "celery", "messages": seen.pop(0) if len(seen) > 1 else seen[0]}]


class Program:
    def __init__(self, name, server):
        self.name, self.server = name, server

    def stop(self, *, wait):
        assert not wait
        self.server.stopped.append(self.name)

    def state(self):
        return type("State", (), {"dead": self.name in self.server.stopped})

    def was_killed(self):
        return self.name in self.server.killed


def asked(action, *, seconds=0.05, queues=True, force=False):
    told = []
    request = {"command": "retire", "action": action, "seconds": seconds, "queues": queues, "force": force}
    code = _dispatch(request, told.append, None)
    assert code == 0, told
    return told[-1]["result"]


PROGRAMS = ["site-shop", "celery-shop-celery", "celery-shop-mail", "beat-shop"]


def test_what_only_one_may_do_stops_and_the_workers_go_on(monkeypatch):
    server = Server(monkeypatch, units=["cron-shop-check.timer"], programs=PROGRAMS)
    assert asked("leave") == {"cut": []}
    assert "systemctl disable --now cron-shop-check.timer" in server.ran
    assert server.stopped == ["beat-shop"]


def test_a_command_that_does_not_come_to_its_end_is_told_of(monkeypatch):
    server = Server(monkeypatch, units=["cron-shop-check.service"])
    assert asked("leave") == {"cut": ["cron-shop-check.service"]}
    assert not any("disable" in command for command in server.ran)


def test_workers_end_when_the_queues_are_empty(monkeypatch):
    server = Server(monkeypatch, queues={"/": [0], "shop": [3, 1, 0]}, programs=PROGRAMS, killed=["celery-shop-mail"])
    assert asked("finish", seconds=5) == {"waiting": {}, "cut": ["celery-shop-mail"]}
    assert server.stopped == ["celery-shop-celery", "celery-shop-mail"]
    assert server.queues["shop"] == [0]


@pytest.mark.parametrize(("force", "stopped"), [(False, []), (True, ["celery-shop-celery", "celery-shop-mail"])])
def test_what_still_waits_keeps_them_at_work_unless_it_is_forced(monkeypatch, force, stopped):
    server = Server(monkeypatch, queues={"shop": [3]}, programs=PROGRAMS)
    assert asked("finish", force=force)["waiting"] == {"shop/celery": 3}
    assert server.stopped == stopped


def test_one_without_queues_asks_no_broker(monkeypatch):
    server = Server(monkeypatch, programs=PROGRAMS)
    assert asked("finish", queues=False) == {"waiting": {}, "cut": []}
    assert server.ran == []


def test_queues_that_another_takes_over_run_empty_and_nobody_is_ended(monkeypatch):
    server = Server(monkeypatch, queues={"book": [3, 0]}, programs=["celery-book-celery"])
    assert asked("empty") == {"waiting": {}, "cut": []}
    assert server.stopped == []


def test_a_look_tells_what_waits_and_changes_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(retire, "CONFIGURATION", str(tmp_path / "rabbitmq.conf"))
    server = Server(monkeypatch, units=["rabbitmq-server.service"], queues={"book": [3]})
    assert asked("look", seconds=0)["waiting"] == {}
    (tmp_path / "rabbitmq.conf").touch()
    assert asked("look", seconds=0)["waiting"] == {"book/celery": 3}
    assert not [line for line in server.ran if line.startswith("systemctl disable")]


def test_work_goes_on_where_it_is_wanted(monkeypatch, tmp_path):
    monkeypatch.setattr(retire, "UNITS", str(tmp_path))
    (tmp_path / "cron-book-clear.timer").touch()
    server = Server(monkeypatch, programs=["beat-book", "celery-book-celery", "site-book"])
    server.stopped = ["beat-book", "site-book"]
    begun = []
    monkeypatch.setattr(Program, "start", lambda program: begun.append(program.name), raising=False)
    assert asked("work") == {"waiting": {}, "cut": []}
    assert begun == ["beat-book"]
    assert "systemctl enable --now cron-book-clear.timer" in server.ran
