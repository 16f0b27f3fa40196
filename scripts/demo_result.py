"""The end of the demo: fetch every site through the loadbalancer over HTTPS, and say how to reach what runs.

Argument: how many lines the deployment's history had when the demo began.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from pathlib import Path

from deploymachine import certificates
from deploymachine.servertypes import Deployment
from deploymachine.servertypes.appnode import site_hosts
from deploymachine.tasks._deployment import deployment, set_directory

BOLD, PLAIN = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")


def main(runs_before: int) -> int:
    """Print it all; exit code 1 when a site does not answer with 200."""
    set_directory(Path.cwd())
    here = deployment()
    print(f"\n{BOLD}The site, fetched through the loadbalancer{PLAIN}")
    statuses = [_fetch(name, here) for name in here.settings.SITES]
    print(f"\n{BOLD}The servers{PLAIN}")
    for server in here.inventory:
        print(f"  ssh -p {here.settings.SSH_PORT} {here.settings.DEPLOY_USERNAME}@{server.address:<15} # {server.name}")
    print(f"\n{BOLD}{_changes(here, runs_before)}{PLAIN}")
    print("`make demo` again changes nothing; `make demo-down` takes it all away.")
    return 0 if statuses and all(status == 200 for status in statuses) else 1


def _fetch(name: str, here: Deployment) -> int:
    site = here.settings.SITES[name]
    host = site_hosts(site, here)[0]
    address = here.inventory.serving("loadbalancer")[0].address
    trust = ssl.create_default_context(cafile=str(certificates.path(name, here.settings.state)))
    connection = http.client.HTTPSConnection(address, timeout=30, context=trust)
    try:
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
    except OSError as error:
        print(f"  https://{host}/  does not answer: {error}")
        return 0
    finally:
        connection.close()
    print(f"  https://{host}/  HTTP/{answer.version / 10} {answer.status} {answer.reason}")
    return answer.status


def _changes(here: Deployment, runs_before: int) -> str:
    lines = (here.settings.state / "history.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines[runs_before:]]
    changes = sum(run["changes"] for run in runs)
    seconds = sum(run["seconds"] for run in runs)
    return f"{'Nothing changed' if not changes else f'{changes} changes'}: {len(runs)} runs in {seconds:.0f} s."


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
