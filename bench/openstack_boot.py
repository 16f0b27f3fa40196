"""Twenty servers named in settings.py in; the seconds of `fab openstack_bootem` until each answers SSH out.

On a devcloud of its own in a temporary directory, which is removed. Linux and root. With `--again` also what it costs
to find that nothing is to do.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys

from main_job import StepError, Timed, World, machine, world

DEFAULT = 20
SETTING = re.compile(r"^OPENSTACK_SERVERS = \{.*?^\}", re.MULTILINE | re.DOTALL)


def run_round(servers: int, flavor: str, *, again: bool) -> list[Timed]:
    with world(cold=False) as here:
        _name_servers(here, servers, flavor)
        here.fab("devcloud_up")
        times = [here.fab("openstack_bootem")]
        if again:
            times.append(here.fab("openstack_bootem").again())
        times.append(here.fab("openstack_sudokillem", "--yes-i-mean-it", _deployment(here)))
        return times


def _name_servers(here: World, servers: int, flavor: str) -> None:
    """In the deployment's settings, in place of those of the example."""
    file = here.deployment / "settings.py"
    rows = "".join(f'        ("appnode{number}", "{flavor}"),\n' for number in range(1, servers + 1))
    wanted = f'OPENSTACK_SERVERS = {{\n    "appnode": [\n{rows}    ],\n}}'
    text, count = SETTING.subn(wanted, file.read_text(encoding="utf-8"), count=1)
    if not count:
        raise StepError(f"{file} names no OPENSTACK_SERVERS")
    file.write_text(text, encoding="utf-8")


def _deployment(here: World) -> str:
    found = re.search(r'^DEPLOYMENT = "(.*)"', (here.deployment / "settings.py").read_text(), re.MULTILINE)
    return found[1] if found else here.deployment.name


def main() -> int:
    """Exit code 1 where a command failed."""
    parser = argparse.ArgumentParser(description="Time `fab openstack_bootem` for many servers.")
    parser.add_argument("--servers", type=int, default=DEFAULT, metavar="N")
    parser.add_argument("--flavor", default="m1.tiny", metavar="NAME")
    parser.add_argument("--again", action="store_true", help="boot them once more, with nothing to do")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the finally blocks run
    print(machine(), flush=True)
    try:
        for timed in run_round(options.servers, options.flavor, again=options.again):
            print(f"fab {timed.title:<60} {timed.seconds:7.1f} s")
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
