"""What tests ask of a deployment with caches and tasks: its site, its caches, its tasknodes; and code for the site."""

from __future__ import annotations

import json
import re
import shlex
import socket

from fleet import Fleet

SLOW = """

@shared_task
def slow(path):
    import pathlib, time
    pathlib.Path(path + ".begun").touch()
    time.sleep(4)
    pathlib.Path(path).touch()
    Entry.objects.create(name="slow", message=path)
"""
GREEDY = """

def greedy(request):
    from django.http import HttpResponse
    held = bytearray(int(request.GET.get("mb", 0)) << 20)
    for number in range(int(request.GET.get("lines", 0))):
        print("numbered", number, "x" * 80)
    return HttpResponse(str(len(held)))


urlpatterns.append(path("greedy", greedy))
"""


def as_site(fleet: Fleet, server: str, code: str) -> str:
    """What Python prints where the site's own programs run, with their environment."""
    command = ["runuser", "-u", "site-guestbook", "--", "/srv/sites/guestbook/shared/run", "python", "-c", code]
    return fleet.sudo(server, shlex.join(command)).strip()


def cache_hits(fleet: Fleet) -> int:
    """Of all caches together."""
    return sum(int(info["keyspace_hits"]) for info in caches(fleet, "stats"))


def caches(fleet: Fleet, section: str) -> list[dict[str, str]]:
    """What each cache that the site is told of says of itself, in that order."""
    ask = f"""
import json, os, redis
print(json.dumps([redis.Redis.from_url(url).info({section!r}) for url in os.environ["CACHE_URL"].split(",")]))
"""
    return list(json.loads(as_site(fleet, fleet.front, ask)))


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


def renamed(fleet: Fleet, old: str, new: str) -> None:
    """Name other servers in settings.py."""
    path = fleet.directory / "settings.py"
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))


def leads(fleet: Fleet, name: str) -> list[str]:
    """What a server does that only one may do."""
    look = """
supervisorctl status | grep -q '^beat-guestbook *RUNNING' && echo beat
systemctl is-active --quiet cron-guestbook-count-words.timer && echo cron
systemctl is-active --quiet rabbitmq-server && echo broker
true"""
    return fleet.sudo(name, look).split()
