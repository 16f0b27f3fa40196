"""What a server tells of credentials: who was started with them, and whether a database takes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import credentials
import pytest
from kokki import process


def told(request: dict[str, object]) -> tuple[int, list[dict[str, object]]]:
    events: list[dict[str, object]] = []
    return credentials.main({"command": "credentials", "host": "one", **request}, events.append), events


def test_a_process_that_was_started_with_it_is_found_until_it_has_ended() -> None:
    value = f"postgresql://blog:{os.urandom(8).hex()}@127.0.0.1/blog"
    request = {"action": "holders", "values": [{"$secret": value[18:34]}], "patience": 0}
    waits = "print(flush=True); import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", waits],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": value},
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()  # it is itself now, no longer a copy of this process
        code, events = told(request)
        assert code == 0
        assert [one["pid"] for one in events[-1]["result"]["holders"]] == [running.pid]  # type: ignore[index]
    assert told(request)[1][-1]["result"] == {"holders": []}
    assert value[18:34] not in str(told(request))


@pytest.mark.parametrize(("code", "state"), [(0, "ok"), (2, "failed")])
def test_a_login_is_tried_with_the_password_where_nobody_sees_it(tmp_path: Path, monkeypatch, code, state) -> None:
    (tmp_path / "psql").write_text(f'#!/bin/sh\necho "$@ : $PGPASSWORD" > {tmp_path}/asked\necho FATAL\nexit {code}\n')
    (tmp_path / "psql").chmod(0o755)
    run = process.run
    monkeypatch.setattr(process, "run", lambda argv, user, **more: run([tmp_path / "psql", *argv[1:]], **more))
    login = {"user": "blog-b", "password": {"$secret": "a-new-password"}, "database": "blog", "port": 6432}
    exit_code, events = told({"action": "try", "logins": [login]})
    assert (exit_code == 0, events[-1]["state"]) == (code == 0, state)
    argv, _, password = (tmp_path / "asked").read_text().strip().rpartition(" : ")
    assert "-h 127.0.0.1 -p 6432 -U blog-b -d blog" in argv
    assert (password, "a-new-password" in argv) == ("a-new-password", False)
    if code:
        assert events[-2]["what"] == "blog does not let blog-b in with the new password"
        assert events[-2]["output"] == ["FATAL"]
