"""The engine on a real machine while things go wrong there: nothing half-made stays, nothing hangs, never two runs."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_machine import Machine

from deploymachine import ssh
from deploymachine.cookbook_test import machine as throwaway
from deploymachine.cookbook_test import make_settings
from deploymachine.report import LineReport
from deploymachine.settings import Settings

# What the SDK deprecates within itself.
SDK_WARNINGS = ("DeprecationWarning", "PendingDeprecationWarning", "openstack.warnings.OpenStackWarning")
pytestmark = [pytest.mark.devcloud, *(pytest.mark.filterwarnings(f"ignore::{name}") for name in SDK_WARNINGS)]
WAITS = "#!/bin/sh\ntouch /srv/test-began\nwhile [ ! -e /srv/test-go ]; do sleep 0.05; done\n"


@pytest.fixture(scope="module")
def settings(devcloud, tmp_path_factory) -> Settings:
    place = tmp_path_factory.mktemp("engine")
    shutil.copy(devcloud.directory / "clouds.yaml", place)
    return make_settings(place)


@pytest.fixture(scope="module")
def machine(settings, tmp_path_factory) -> Iterator[Machine]:
    with throwaway(settings, "debian-13", LineReport(io.StringIO())) as connection:
        yield Machine(connection, tmp_path_factory.mktemp("books"))


@pytest.fixture
def root(devcloud, machine) -> Path:
    """The machine's tree as this machine sees it: what root inside may not do is done here."""
    identity = machine.sh("cat /etc/machine-id")
    trees = (devcloud.state / "machines").glob("*/root")
    return next(tree for tree in trees if (tree / "etc/machine-id").read_text() == identity)


class TestFiles:
    def test_an_immutable_file(self, machine, root):
        machine.write("/etc/locked.conf", "old")
        target = root / "etc/locked.conf"
        chattr("+i", target)
        try:
            cooked = machine.cook('File("/etc/locked.conf", content="new")')
            assert machine.sh("cat /etc/locked.conf") == "old"
        finally:
            chattr("-i", target)
        assert cooked.states == ["failed"]
        assert cooked.failed["message"].startswith("/etc/")
        assert "not permitted" in cooked.failed["message"]
        assert machine.sh("ls -A /etc | grep kokki || true") == ""
        assert machine.cook('File("/etc/locked.conf", content="new")').states == ["changed"]

    def test_a_full_disk(self, machine):
        machine.sh("mkdir -p /mnt/small && mount -t tmpfs -o size=64k none /mnt/small && printf old > /mnt/small/x")
        try:
            cooked = machine.cook('File("/mnt/small/x", content="new" * 40000)')
            assert machine.sh("cat /mnt/small/x; ls -A /mnt/small") == "oldx\n"
        finally:
            machine.sh("umount /mnt/small")
        assert "No space left on device" in cooked.failed["message"]

    def test_a_read_only_file_system(self, machine):
        machine.sh("mkdir -p /mnt/ro && mount -t tmpfs none /mnt/ro && mount -o remount,ro /mnt/ro")
        try:
            cooked = machine.cook('File("/mnt/ro/x", content="new")')
        finally:
            machine.sh("umount /mnt/ro")
        assert "Read-only file system" in cooked.failed["message"]


class TestPackages:
    def test_killed_in_the_middle_of_apt(self, machine):
        machine.packages(
            {"name": "slow", "version": "1.0", "postinst": WAITS},
            {"name": "after", "version": "1.0", "depends": "slow", "files": {"/opt/after": "here"}},
        )
        recipe = 'Package("slow")\nPackage("after")'
        machine.sh("rm -f /srv/test-began /srv/test-go")
        thread, cut = machine.begin(recipe)
        machine.wait_for(lambda: machine.there("/srv/test-began"), "dpkg never got there")
        machine.kill_run()
        thread.join(30)
        assert cut.error is not None
        assert machine.sh("dpkg-query -W -f '${Status}' slow").endswith("half-configured")
        machine.write("/srv/test-go", "")
        again = machine.cook(recipe)
        assert (again.error, again.result.state) == (None, "ok")
        assert machine.sh("dpkg --audit; cat /opt/after") == "here"
        assert not machine.there("/usr/sbin/policy-rc.d")
        assert machine.cook(recipe).states == ["ok", "ok"]

    def test_one_that_asks(self, machine):
        """Through debconf, by reading what nobody types, and about a configuration file that was changed."""
        asks = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input high asks/name || true\ndb_go || true\n"
        reads = "#!/bin/sh\nread answer || answer=nobody\necho $answer > /srv/test-answered\n"
        question = "Template: asks/name\nType: string\nDescription: What is your name?\n Say it.\n"
        conf = {"conffiles": ["/etc/asks.conf"]}
        machine.packages(
            {"name": "asks", "version": "1.0", **conf, "files": {"/etc/asks.conf": "one\n"}, "preinst": reads},
            {
                **{"name": "asks", "version": "2.0", **conf, "files": {"/etc/asks.conf": "two\n"}},
                **{"config": asks, "templates": question, "postinst": asks},
            },
        )
        assert machine.cook('Package("asks", version="1.0")').states == ["changed"]
        assert machine.sh("cat /srv/test-answered") == "nobody\n"
        machine.write("/etc/asks.conf", "mine\n")
        cooked = machine.cook('Package("asks", version="2.0")')
        assert (cooked.error, cooked.states) == (None, ["changed"])
        assert machine.sh("cat /etc/asks.conf") == "mine\n"
        assert machine.sh("dpkg-query -W -f '${Version} ${Status}' asks") == "2.0 install ok installed"

    def test_a_mirror_that_is_unreachable(self, machine):
        machine.packages({"name": "near", "version": "1.0"})
        machine.write("/etc/apt/sources.list.d/far.list", "deb [trusted=yes] http://127.0.0.1:9/ ./\n")
        cooked = machine.cook('Package("far-away")')
        assert "can't be installed" in cooked.failed["message"]
        assert any("127.0.0.1" in line for line in cooked.failed["output"]), cooked.failed
        assert machine.cook('Package("near")').states == ["changed"]  # what other sources have comes all the same

    def test_a_broken_source(self, machine):
        machine.packages({"name": "near", "version": "1.0"})
        machine.write("/etc/apt/sources.list.d/broken.list", "this is no source\n")
        try:
            cooked = machine.cook('Package("something")')
        finally:
            machine.sh("rm /etc/apt/sources.list.d/broken.list")
        assert any("broken.list" in line for line in cooked.failed["output"]), cooked.failed


class TestConnection:
    def test_cut_in_the_middle_there_are_never_two_runs(self, machine, settings):
        """The run that lost its listener ends at the next step; the next run finds it, says so and waits for it."""
        recipe = """
            WAIT = "echo begin >> {0}-log; touch {0}-began; while [ ! -e {0}-go ]; do sleep 0.05; done; "
            WAIT += "echo end >> {0}-log"
            for name in ("first", "second"):
                done = "/srv/test-done-" + name
                Execute(name, command=WAIT.format("/srv/test") + "; touch " + done, creates=done)
        """
        machine.sh("rm -f /srv/test-began /srv/test-go /srv/test-log /srv/test-done-*")
        other = ssh.connect(machine.connection.server, ssh.root_login(), settings)
        thread, cut = machine.begin(recipe, other)
        machine.wait_for(lambda: machine.there("/srv/test-began"), "the run never got there")
        other.close()
        thread.join(30)
        assert "was cut" in str(cut.error)
        following, next_run = machine.begin(recipe)
        machine.wait_for(lambda: "waits" in self.locks(machine), "the second run does not wait")
        assert machine.sh("cat /srv/test-log") == "begin\n"
        machine.write("/srv/test-go", "")
        following.join(60)
        assert next_run.error is None
        waited = next(event for event in next_run.events if event["event"] == "step-begun")
        assert (waited["step"], "process " in waited["detail"]) == ("lock", True)
        assert machine.sh("cat /srv/test-log") == "begin\nend\nbegin\nend\n"
        assert next_run.states == ["ok", "changed"]  # the first was done by the run that was cut

    @staticmethod
    def locks(machine) -> str:
        """`waits` once two processes have the lock file open."""
        found = machine.sh("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c deploymachine-kokki.lock || true")
        return "waits" if int(found) >= 2 else ""


def chattr(flag: str, path: Path) -> None:
    import fcntl
    import os
    import struct

    get_flags, set_flags, immutable = 0x80086601, 0x40086602, 0x10
    descriptor = os.open(path, os.O_RDONLY)
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, get_flags, struct.pack("l", 0)))
        flags = flags | immutable if flag == "+i" else flags & ~immutable
        fcntl.ioctl(descriptor, set_flags, struct.pack("l", flags))
    finally:
        os.close(descriptor)
