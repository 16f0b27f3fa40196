"""The programs of the sites: gunicorn, Celery's workers, beats; seen, started, stopped, and restarted unnoticed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.contrib._servers import on_servers
from deploymachine.contrib._site import SITE, Place, place
from deploymachine.errors import ConvergeError, UsageError
from deploymachine.tasks import deployment, selected, task

if TYPE_CHECKING:
    from deploymachine.inventory import Server

WHICH = {**SITE, "program": "only this one, as supervisor.status names it: celery-blog-mail"}
NOT_ALL_RUNNING = 3  # supervisorctl's exit code
# What is restarted ends what it has begun first. gunicorn, told to read everything anew, replaces its workers when new
# ones are ready, and no visitor waits; it is done when the last old one is gone. Then what runs is what is live: where
# git.pull made another release the live one, and no more, a file says that it may be otherwise. Workers whose master
# did not survive its new code go on serving, and hold its port until it begins anew.
AGAIN = """
seconds=$1 web=$2 user=$3 unsettled=$4; shift 4
orphans() { pgrep -P 1 -u "$user" -f shared/gunicorn.conf.py; }
begin() {
  for one in $(orphans); do kill "$one"; done
  tries=100; while [ "$tries" -gt 0 ] && orphans >/dev/null; do sleep 0.1; tries=$((tries - 1)); done
  supervisorctl start "$1"
}
settled() { [ -z "$unsettled" ] || rm -f "$unsettled"; exit 0; }
for name; do supervisorctl stop "$name" >/dev/null; begin "$name" || exit 1; done
[ -n "$web" ] || settled
case "$(supervisorctl status "$web")" in
  *RUNNING*) ;;
  *) begin "$web" && settled; exit 1 ;;
esac
pid=$(supervisorctl pid "$web") && old=$(cat /proc/"$pid"/task/*/children) || exit 1
log=/var/log/supervisor/$web.log; said=$(stat -c %s "$log")
supervisorctl signal HUP "$web" >/dev/null || exit 1
there() { for one in $old; do [ -e /proc/"$one" ] && return; done; return 1; }
while there && [ -e /proc/"$pid" ] && [ "$seconds" -gt 0 ]; do sleep 0.2; seconds=$((seconds - 1)); done
state=$(supervisorctl status "$web"); echo "$state"
case "$state" in *" RUNNING "*)
  there || settled
  echo "$web: its old workers do not give way to new ones" >&2
esac
tail -c "+$((said + 1))" "$log" | grep -v ^Traceback | head -n 60 >&2
exit 1
"""
# supervisor takes it for an error to be told what is so already.
TELL = """
word=$1 unless=$2; shift 2
for name; do
  supervisorctl status "$name" | grep -Eq " ($unless) *" && continue
  supervisorctl "$word" "$name" || exit 1
done
supervisorctl status "$@"; [ $? -ne 4 ]
"""
UP, DOWN = "RUNNING|STARTING", "STOPPED|EXITED|FATAL"
A_FIFTH = 5  # of a second passes between two looks


@task(help={**WHICH, "json": "as JSON"})
def status(_: Context, site: str = "", program: str = "", json: bool = False) -> None:
    """Show what runs, and since when: `fab appnode supervisor.status`. Of all sites unless one is named."""
    from deploymachine.tasks._table import print_json, print_table

    rows = states(site, program)
    if json:
        print_json([dict(zip(("server", "program", "state", "since"), row, strict=True)) for row in rows])
    else:
        print_table(("server", "program", "state", "since"), rows)


@task(help=WHICH)
def start(_: Context, site: str = "", program: str = "") -> None:
    """Start what does not run of a site: `fab appnode supervisor.start --site blog`. Leaves alone what runs."""
    _tell("start", UP, site, program)


@task(help=WHICH)
def stop(_: Context, site: str = "", program: str = "") -> None:
    """Stop a site's programs; the requests and tasks they have begun are finished: `fab appnode supervisor.stop`.

    Visitors get an error from a site that runs nowhere (`fab loadbalancer maintenance.on` tells them why). It stays so
    until supervisor.start, a deploy or a reboot.
    """
    _tell("stop", DOWN, site, program)


@task(help={**WHICH, "hard": "stop it and start it, one server after the other, also what a reload would not free"})
def restart(_: Context, site: str = "", program: str = "", hard: bool = False) -> None:
    """Have a site read code and environment anew, unnoticed by visitors: `fab appnode supervisor.restart --site blog`.

    gunicorn replaces its workers when new ones are ready; Celery's end what they have begun. Changes no file.
    """
    again(site, program, hard=hard)


@task(help={**WHICH, "lines": "how many of each"})
def tail(_: Context, site: str = "", program: str = "", lines: int = 50) -> None:
    """Show the last lines a site's programs wrote: `fab appnode supervisor.tail --site blog --lines 100`."""
    from deploymachine.remote import Order

    there = place(site)
    count = str(max(1, lines))

    def order(server: Server) -> Order:
        paths = [f"/var/log/supervisor/{name}.log" for name in programs(there, server, program)]
        return Order(["tail", "-q", "-n", count, "--", *paths], "root")

    on_servers(_having(there, program), order, there.here)


def states(site: str = "", program: str = "") -> list[tuple[str, str, str, str]]:
    """(server, program, its state as supervisor calls it, since when) of a site's programs; "": of all there are."""
    from deploymachine.remote import Order

    here = deployment()
    there = place(site) if site else None
    servers = list(there.servers) if there else selected(here.inventory)
    order = Order(["supervisorctl", "status"], "root")
    said = on_servers(servers, order, here, quiet=True, fine=(0, NOT_ALL_RUNNING))
    found = [(server, *_read(line)) for server, text in said.items() for line in text.splitlines() if line.strip()]
    known = {server.name: programs(there, server) for server in servers} if there else {}
    return [row for row in found if program in ("", row[1]) and (not there or row[1] in known[row[0]])]


def again(site: str = "", program: str = "", *, hard: bool = False, tasks_only: bool = False) -> None:
    """What the task `restart` does; tasks_only: only to programs that visitors don't wait for."""
    from deploymachine.remote import Order
    from deploymachine.servertypes import _site

    there = place(site)
    web = _web(there.site)
    seconds = there.here.settings.SITES[there.site].health_timeout + 60

    def mine(server: Server) -> list[str]:
        return [name for name in programs(there, server, program) if not (tasks_only and name == web)]

    def order(server: Server) -> Order:
        gently = web if web in mine(server) and not hard else ""
        others = [name for name in mine(server) if name != gently]
        own = _site.place(there.site)
        unsettled = "" if program or tasks_only else f"{own['root']}/.switching"
        argv = ["sh", "-c", AGAIN, "sh", str(seconds * A_FIFTH), gently, own["user"], unsettled, *others]
        return Order(argv, "root", called=f"restart {' '.join(mine(server))}")

    servers = [server for server in there.servers if mine(server)]
    if not servers:
        raise _none(there, program)
    for group in [[server] for server in servers] if hard else [servers]:
        on_servers(group, order, there.here)
        if hard and web in mine(group[0]):
            _wait(group[0], there)


def _wait(server: Server, there: Place) -> None:
    """Until the site answers there: nowhere else is it stopped before. Raises ConvergeError."""
    from deploymachine.leading import state_of

    seconds = there.here.settings.SITES[there.site].health_timeout
    deadline = time.monotonic() + seconds
    while not state_of(there.site, server, there.here).get("healthy"):
        if time.monotonic() > deadline:
            raise ConvergeError(
                f"{there.site} does not answer on {server.name} within {seconds} s after its restart",
                where=server.where,
                why="its health page does not say 200; the servers after it were left alone",
                hint=f"`fab server:{server.name} supervisor.tail` shows its last words",
            )
        time.sleep(0.5)


def programs(there: Place, server: Server, program: str = "") -> list[str]:
    """The site's programs on one of its servers, gunicorn first; only `program` where it is named."""
    from deploymachine.servertypes import tasknode

    found = tasknode.program_names(there.site, server, there.here)
    return [name for name in found if program in ("", name)]


def _web(site: str) -> str:
    return f"site-{site}"


def _having(there: Place, program: str) -> list[Server]:
    """Those of the servers that have such a program. Raises UsageError."""
    found = [server for server in there.servers if programs(there, server, program)]
    if not found:
        raise _none(there, program)
    return found


def _none(there: Place, program: str) -> UsageError:
    known = dict.fromkeys(name for server in there.servers for name in programs(there, server))
    what = f"no program {program!r}" if program else "no such program"
    return UsageError(
        f"{there.site} has {what} on {', '.join(server.name for server in there.servers)}",
        why=f"it has {', '.join(known) or 'none'}",
    )


def _tell(word: str, unless: str, site: str, program: str) -> None:
    from deploymachine.remote import Order

    there = place(site)

    def order(server: Server) -> Order:
        names = programs(there, server, program)
        return Order(["sh", "-c", TELL, "sh", word, unless, *names], "root", called=f"{word} {' '.join(names)}")

    on_servers(_having(there, program), order, there.here)


def _read(line: str) -> tuple[str, str, str]:
    name, state, *rest = line.split(None, 2)
    return name, state, rest[0].rpartition("uptime ")[2] if rest else ""
