"""Webhooks after deploys: what a real HTTP server is sent, and that one which is down costs nothing but a warning."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploymachine.contrib import notify
from deploymachine.secret_uses import described
from deploymachine.secrets import Secrets
from deploymachine.servertypes import Deployment
from deploymachine.settings import load

PATH = "/services/T00000000/B00000000/a-token-that-nobody-may-see"


@dataclass
class Receiver:
    """Answers `status` and keeps what it was sent: (path, JSON)."""

    port: int = 0
    status: int = 200
    got: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    ours = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            ours.got.append((self.path, json.loads(text)))
            self.send_response(ours.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        ours.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield ours
        server.shutdown()
        thread.join()


def told_to(deployment: Deployment, url: str, more: str = "") -> Deployment:
    """The same deployment, with one webhook whose URL is kept as a secret."""
    path = deployment.settings.directory / "settings.py"
    path.write_text(path.read_text() + f'NOTIFY = [{{"secret": "hook", {more}}}]\n')
    secrets = Secrets(deployment.settings.state / "secrets.json")
    if url:
        secrets.made_by("hook", lambda: url)
    return Deployment(load(path.parent), deployment.inventory, secrets)


def test_its_secret_is_listed_with_what_it_is_for(deployment: Deployment) -> None:
    here = told_to(deployment, "")
    assert [(one.name, one.kept, one.what) for one in described(here.settings, here.secrets)] == [
        ("hook", "nowhere yet", "a webhook of NOTIFY")
    ]


def test_what_is_told_of_a_deploy_and_of_one_that_failed(deployment: Deployment, receiver: Receiver) -> None:
    here = told_to(deployment, f"http://127.0.0.1:{receiver.port}{PATH}")
    notify.deployed(here, "blog", "20261122T1-3acb307", servers=["appnode1", "appnode2"], by="ada", seconds=4.2)
    notify.deployed(here, "blog", "20261122T1-3acb307", servers=[], action="rollback", error="<healthz> & co. said 500")
    assert receiver.got == [
        (PATH, {"text": "mysite: blog was deployed: 20261122T1-3acb307 on appnode1, appnode2 by ada, 4 s"}),
        (
            PATH,
            {
                "text": "mysite: the rollback of blog failed: 20261122T1-3acb307\n&lt;healthz&gt; &amp; co. said 500",
            },
        ),
    ]


@pytest.mark.parametrize(
    ("more", "error", "count"),
    [
        ('"when": "failed"', "", 0),
        ('"when": "failed"', "it broke", 1),
        ('"sites": ["blog"]', "", 1),
    ],
)
def test_who_wants_to_hear_of_what(
    deployment: Deployment, receiver: Receiver, more: str, error: str, count: int
) -> None:
    here = told_to(deployment, f"http://127.0.0.1:{receiver.port}{PATH}", more)
    notify.deployed(here, "blog", "r1", servers=["appnode1"], error=error)
    assert len(receiver.got) == count


@pytest.mark.parametrize(
    ("status", "url", "said"),
    [
        (500, "http://127.0.0.1:{port}" + PATH, "it answered 500"),
        (302, "http://127.0.0.1:{port}" + PATH, "it answered 302"),
        (200, "http://127.0.0.1:1" + PATH, "Connection refused"),
        (200, "http://nowhere.invalid" + PATH, ""),
        (200, "https://127.0.0.1:{port}" + PATH, ""),
        (200, "http://[127.0.0.1" + PATH, ""),
        (200, "file:///etc/passwd?" + PATH, "no URL that begins with https:// or http://"),
        (200, "", "There is no secret 'hook', which NOTIFY names"),
    ],
)
def test_a_webhook_that_is_down_is_a_warning_without_its_url(
    deployment: Deployment, receiver: Receiver, capfd: pytest.CaptureFixture[str], status: int, url: str, said: str
) -> None:
    receiver.status = status
    here = told_to(deployment, url.format(port=receiver.port))
    notify.deployed(here, "blog", "r1", servers=["appnode1"])
    output, errors = capfd.readouterr()
    assert errors.startswith("warning: the webhook hook was not told: ")
    assert said in errors
    assert "token" not in output + errors
    assert len(errors.splitlines()) == 1
    assert [path for path, _ in receiver.got if path == "/elsewhere"] == []
