"""One server with everything, and 1 GB of memory, to which the kernel holds it: it serves the book, with its cache."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fleet import Fleet
from load import load

pytestmark = pytest.mark.devcloud
ONE = "dbappbalancer1"
GIGABYTE = 1 << 30
SERVERS = f'\nOPENSTACK_SERVERS = {{"dbappbalancer": [("{ONE}", "m1.small")]}}\n'
# devcloud has no flavor of that size: what follows from the flavor is told.
ATTRIBUTES = """
    override_attributes:
      gunicorn.memory_mb: 1024
      redis.memory_mb: 1024
      postgresql.memory_mb: 1024
"""
MEMORY = ("memory.limit_in_bytes", "memory.max")  # as version 1 and version 2 of control groups call it
SERVICES = """
for cgroup in $(cat /proc/[0-9]*/cgroup 2>/dev/null | grep -o '[^/]*[.]service$' | sort -u); do
  pss=0
  for pid in $(grep -ls "$cgroup\\$" /proc/[0-9]*/cgroup | cut -d/ -f3); do
    one=$(grep -s ^Pss: /proc/$pid/smaps_rollup | awk '{print $2}'); pss=$((pss + ${one:-0}))
  done
  echo $cgroup $pss
done
"""


def words(pid: str) -> bytes:
    """A process's command line; nothing where it has just ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def group(server_id: str) -> Path:
    """The control group that holds the machine's memory down."""
    every = {path.name: words(path.name) for path in Path("/proc").glob("[0-9]*")}
    uuid = f"--uuid={server_id}\0".encode()
    [pid] = [pid for pid, line in every.items() if line.startswith(b"systemd-nspawn\0") and uuid in line]
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for _number, controllers, name in lines:
        for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
            place = Path(f"{root}{name}")
            if controllers in ("memory", "") and any((place / file).exists() for file in MEMORY):
                return place
    pytest.skip("no control group limits the machines' memory here")


@pytest.fixture(scope="module")
def small(devcloud) -> Iterator[tuple[Fleet, Path]]:
    home = devcloud.state.parent / "small"
    directory = home / "small"
    directory.mkdir(parents=True)
    shutil.copy(devcloud.directory / "clouds.yaml", directory)
    fleet = Fleet(directory, home / "home", front=ONE)
    fleet.make()
    (directory / "settings.py").write_text((directory / "settings.py").read_text() + SERVERS)
    roles = directory / "kokki-config.yaml"
    roles.write_text(roles.read_text().rstrip("\n") + ATTRIBUTES)  # dbappbalancer is the last one
    try:
        fleet.fab("openstack_bootem")
        place = group(fleet.server(ONE).id)
        limit = next(place / name for name in MEMORY if (place / name).exists())
        limit.write_text(str(GIGABYTE))
        assert int(limit.read_text()) == GIGABYTE
        fleet.fab("root", "provision")
        fleet.fab("dbappbalancer", "launch")
        yield fleet, place
    finally:
        fleet.try_command("fab", "openstack_sudokillem", "--yes-i-mean-it", directory.name)


def test_one_gigabyte_is_enough_for_all_of_it_under_load(small: tuple[Fleet, Path]) -> None:
    fleet, place = small
    fleet.sign("Ada", "how small can it be")
    certificate = fleet.directory / ".deploymachine/certificates/guestbook.pem"
    with load(fleet.server(ONE).address, certificate, pause=0.01) as visitors:
        visitors.goes_on(1000)
        services = dict(line.split() for line in fleet.sudo(ONE, SERVICES).splitlines())
    print({name: f"{int(kilobytes) >> 10} MB" for name, kilobytes in services.items() if int(kilobytes) > 1024})
    assert visitors.failures == []
    assert 'id="cached"' in fleet.get().text
    assert sum(map(int, services.values())) < 500 * 1024, services
    killed = [
        re.search(r"oom_kill (\d+)", (place / name).read_text())
        for name in ("memory.oom_control", "memory.events")
        if (place / name).exists()
    ]
    assert [found[1] for found in killed if found] == ["0"]
