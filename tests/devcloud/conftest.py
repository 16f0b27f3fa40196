"""A devcloud of the tests' own, beside any other on this machine: the whole session shares it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Fleet
from leftovers import leftovers
from machine_world import Devcloud, connect, let_in

from deploymachine.devcloud import control, image, layout
from deploymachine.devcloud.process import Process, alive, identify

MAIN_JOB = (
    "fab openstack_bootem",
    "openstack-compute list",
    "fab root provision",
    "fab dbserver launch",
    "fab loadbalancer launch",
    "fab appnode launch",
)
MEND = ("openstack_bootem", "root provision", "appnode launch", "everything kokki")
HOMES = Path("/var/tmp")  # noqa: S108 (a directory of its own is made in it, each time another)
PREFIX = "devcloud-test-"
IMAGES = "/var/lib/deploymachine-devcloud/images"
# What every server gets, and the libraries that the types' programs stand on; none of these programs, which come with a
# user, a configuration or databases. Without fail2ban, which would judge who comes before it is told how; to install it
# each server asks apt for what is new. The main job and the cookbooks' own tests begin with a plain image.
PACKAGES = """
    apt-listchanges cron debsums git libpam-pwquality libpam-tmpdir logrotate needrestart nftables python3-systemd
    rsync unattended-upgrades
    libevent-2.1-7t64 libipc-run-perl libjson-perl libllvm19 libpq5 libxslt1.1 perl postgresql-client
    python3-pkg-resources python3-venv redis-tools socat ssl-cert
"""


@pytest.fixture(scope="session")
def devcloud() -> Iterator[Devcloud]:
    """Up with state and clouds.yaml of its own; the images are the machine's, so each is built once."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("devcloud needs Linux and root")
    with pytest.MonkeyPatch.context() as patch:
        sweep(patch)
        home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=HOMES))
        own = identify(os.getpid())
        assert own is not None
        (home / "owner").write_text(f"{own.pid} {own.started}")
        state, directory = home / "state", home / "deployment"
        directory.mkdir()
        patch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(state))
        patch.setenv("DEPLOYMACHINE_DEVCLOUD_IMAGES", os.environ.get("DEPLOYMACHINE_DEVCLOUD_IMAGES", IMAGES))
        patch.setenv("DEPLOYMACHINE_DEVCLOUD_PACKAGES", PACKAGES)
        image.ensure(image.PREPARED, layout.images_directory())
        control.up(directory)
        place = layout.load(state)
        assert place is not None
        try:
            with connect(directory) as connection:
                let_in(connection)
            yield Devcloud(directory, "devcloud", state, place)
        finally:
            control.down()
        assert leftovers(place) == []
        assert not (directory / "clouds.yaml").exists()
    shutil.rmtree(home)


def sweep(patch: pytest.MonkeyPatch) -> None:
    """Take down what test sessions that were killed have left; those that still run are known by their process."""
    for home in HOMES.glob(f"{PREFIX}*"):
        owner = home / "owner"
        if not owner.exists() or alive(Process(*map(int, owner.read_text().split()))):
            continue
        patch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(home / "state"))
        control.down()
        shutil.rmtree(home, ignore_errors=True)  # another session may have come to sweep as well


@pytest.fixture(scope="session")
def main_job(devcloud: Devcloud) -> Fleet:
    """The main job, done once: what each command printed is in `told`."""
    made = Fleet(devcloud.directory, devcloud.state.parent / "home")
    made.make()
    for line in MAIN_JOB:
        made.told[line] = made.try_command(*line.split())
        assert made.told[line].code == 0, f"{line}\n{made.told[line].output}"
    return made


@pytest.fixture(scope="module")
def fleet(main_job: Fleet) -> Fleet:
    """What the main job made, whole. Tests leave it as they found it, or say that it is `unfinished`."""
    if main_job.unfinished:
        for line in MEND:
            main_job.fab(*line.split())
        main_job.unfinished = False
    return main_job


@pytest.fixture(scope="session")
def box(devcloud: Devcloud) -> Iterator[Fleet]:
    """One provisioned server of a deployment of its own, box1; tests leave its way in as they found it."""
    home = devcloud.state.parent / "box"
    made = Fleet(home / "deployment", home / "home")
    made.directory.mkdir(parents=True)
    shutil.copy(devcloud.directory / "clouds.yaml", made.directory)
    made.make()
    path = made.directory / "settings.py"
    text = re.sub(r"(?s)\nSITES = \{.*?\n\}", "\nSITES = {}", path.read_text())
    text = re.sub(r"(?s)\nDATABASES = \{.*?\n\}", "\nDATABASES = {}", text)
    text = re.sub(
        r"(?s)OPENSTACK_SERVERS = \{.*?\n\}", 'OPENSTACK_SERVERS = {"cachenode": [("box1", "m1.small")]}', text
    )
    path.write_text(re.sub(r'DEPLOYMENT = ".*"', 'DEPLOYMENT = "box"', text))
    try:
        for line in ("openstack_bootem", "root provision"):
            made.told[line] = made.try_command("fab", *line.split())
            assert made.told[line].code == 0, made.told[line].output
        yield made
    finally:
        made.try_command("fab", "openstack_sudokillem", "--yes-i-mean-it", "box")
