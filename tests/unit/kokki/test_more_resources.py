"""SystemdUnit, Line, Sysctl, Cron, AptRepository, Mount: made, left alone when right, told beforehand."""

import pytest
from kokki import Kitchen, Line


def twice(world, recipe):
    """Dry run, run, run again: the same changes told and made, then none."""
    dry = world.recipe(recipe, dry_run=True)
    assert world.calls() == []
    first = world.recipe(recipe)
    calls = world.calls()
    assert (dry.code, first.code) == (2, 0), first.events
    told = [event["changes"] for event in first.of("resource-done")]
    assert told == [event["changes"] for event in dry.of("resource-done")]
    assert set(world.recipe(recipe).states) == {"ok"}
    assert world.calls() == []
    return told, calls


class TestSystemdUnit:
    def test_is_written_and_read_by_systemd(self, world):
        world.tool("systemctl", "")
        _told, calls = twice(world, 'SystemdUnit("backup.timer", content="[Timer]\\nOnCalendar=daily\\n")')
        assert calls == ["systemctl daemon-reload"]
        assert "OnCalendar" in (world.root / "etc/systemd/system/backup.timer").read_text()

    def test_drop_in_and_delete(self, world):
        world.tool("systemctl", "")
        twice(world, 'SystemdUnit("nginx.service.d/limits.conf", content="[Service]\\n")')
        _told, calls = twice(world, 'SystemdUnit("nginx.service.d/limits.conf", action="delete")')
        assert calls == ["systemctl daemon-reload"]


class TestLine:
    @pytest.fixture
    def hosts(self, world):
        path = world.out / "conf"
        path.write_text("# head\nPort 22\nUser a\n")
        path.chmod(0o640)
        return path

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ('"Color on"', "# head\nPort 22\nUser a\nColor on\n"),
            ('"Port 23", match="^Port "', "# head\nPort 23\nUser a\n"),
            ('"User", match="^User", action="delete"', "# head\nPort 22\n"),
            ('"Port 22", action="delete"', "# head\nUser a\n"),
        ],
    )
    def test_is_there_or_gone(self, world, hosts, arguments, text):
        twice(world, f'Line({arguments}, path=OUT + "/conf")')
        assert (hosts.read_text(), hosts.stat().st_mode & 0o777) == (text, 0o640)

    def test_that_is_there_is_left_alone(self, world, hosts):
        assert world.recipe('Line("User a", path=OUT + "/conf", match="User")').states == ["ok"]

    def test_a_file_that_is_not_there(self, world):
        error = world.recipe('Line("x", path=OUT + "/none")').of("resource-done")[0]["error"]
        assert "There is no file" in error["message"]
        twice(world, 'Line("x", path=OUT + "/none", missing_ok=True)')

    def test_is_checked_like_a_file(self, world, hosts):
        assert world.recipe('Line("bad", path=OUT + "/conf", validate="! grep -q bad %s")').code == 1
        assert "bad" not in hosts.read_text()

    def test_fights_with_a_file_that_has_all_the_content(self, world):
        with Kitchen():
            pass
        failure = world.recipe('File("/x", content="")\nLine("a", path="/x")').failure
        assert "both want to write /x" in failure["what"]
        world.recipe('File(OUT + "/a", mode=0o600)\nLine("a", path=OUT + "/a")\nLine("b", path=OUT + "/a")')
        assert (world.out / "a").read_text() == "a\nb\n"

    def test_takes_no_content(self, world):
        with Kitchen(), pytest.raises(Exception, match="takes a line, no content"):
            Line("a", path="/x", content="b")


class TestSysctl:
    def test_is_set_now_and_kept(self, world):
        knob = world.etc("proc/sys/net/core/somaxconn", "128\n")
        other = world.etc("proc/sys/net/ipv4/tcp_rmem", "1\t2\t3\n")
        told, calls = twice(
            world, 'Sysctl("net.core.somaxconn", value=1024)\nSysctl("net.ipv4.tcp_rmem", value="4 5 6")'
        )
        assert told == [["kept 1024", "live 128 -> 1024"], ["kept 4 5 6", "live 1 2 3 -> 4 5 6"]]
        assert (knob.read_text(), other.read_text(), calls) == ("1024", "4 5 6", [])
        kept = world.root / "etc/sysctl.d/60-kokki.conf"
        assert kept.read_text() == "net.core.somaxconn = 1024\nnet.ipv4.tcp_rmem = 4 5 6\n"
        world.recipe('Sysctl("net.core.somaxconn", value=5)')
        assert kept.read_text() == "net.core.somaxconn = 5\nnet.ipv4.tcp_rmem = 4 5 6\n"

    def test_one_this_kernel_has_not(self, world):
        error = world.recipe('Sysctl("no.such", value=1)').of("resource-done")[0]["error"]
        assert error["message"] == "This kernel has no setting no.such"
        twice(world, 'Sysctl("no.such", value=1, live=False)')


class TestCron:
    @pytest.fixture
    def spool(self, world):
        table = world.etc("var/spool/cron/crontabs/root", "1 1 * * * theirs\n")
        world.tool("crontab", 'cat > "$ROOT/var/spool/cron/crontabs/$2"\n')
        return table

    def test_is_put_changed_and_taken_away(self, world, spool):
        told, calls = twice(world, 'Cron("backup", command="/bin/backup", minute=15, hour=2)')
        assert (told, calls) == ([["entry 15 2 * * * /bin/backup"]], ["crontab -u root -"])
        assert spool.read_text() == "1 1 * * * theirs\n# kokki: backup\n15 2 * * * /bin/backup\n"
        twice(world, 'Cron("backup", command="/bin/backup", schedule="@daily")')
        assert spool.read_text() == "1 1 * * * theirs\n# kokki: backup\n@daily /bin/backup\n"
        twice(world, 'Cron("backup", action="delete")')
        assert spool.read_text() == "1 1 * * * theirs\n"

    def test_of_a_user_without_a_crontab(self, world, spool):
        twice(world, 'Cron("c", command="true", user="app")')


class TestAptRepository:
    RECIPE = 'AptRepository("pgdg", uris="https://apt.example.org", suites=["stable"], key="-----KEY-----\\n")'

    def test_is_described_with_its_key(self, world):
        twice(world, self.RECIPE)
        keyring = world.root / "etc/apt/keyrings/pgdg.asc"
        assert keyring.read_text() == "-----KEY-----\n"
        assert (world.root / "etc/apt/sources.list.d/pgdg.sources").read_text() == (
            f"Types: deb\nURIs: https://apt.example.org\nSuites: stable\nComponents: main\nSigned-By: {keyring}\n"
        )

    def test_is_deleted(self, world):
        world.recipe(self.RECIPE)
        twice(world, self.RECIPE.replace("uris=", 'action="delete", uris='))

    def test_needs_a_key(self, world):
        assert "needs either key or signed_by" in world.recipe('AptRepository("x", uris="https://x")').failure["what"]


class TestMount:
    @pytest.fixture
    def mounts(self, world):
        table = world.etc("proc/self/mounts", "proc /proc proc rw 0 0\n")
        world.etc("etc/fstab", "# theirs\nUUID=1 / ext4 defaults 0 1\n")
        world.tool("mount", f'echo "dev {world.out}/m tmpfs rw 0 0" > "$ROOT/proc/self/mounts"\n')
        world.tool("umount", ': > "$ROOT/proc/self/mounts"\n')
        return table

    def test_is_mounted_and_unmounted(self, world, mounts):
        _told, calls = twice(world, 'Mount(OUT + "/m", device="/dev/vdb", fstype="ext4", options=["ro", "noatime"])')
        assert calls == [f"mount -t ext4 -o ro,noatime /dev/vdb {world.out}/m"]
        _told, calls = twice(world, 'Mount(OUT + "/m", action="umount")')
        assert calls == [f"umount {world.out}/m"]

    def test_is_kept_in_fstab(self, world, mounts):
        twice(world, 'Mount("/m/", device="/dev/vdb", fstype="ext4", action="enable")')
        fstab = world.root / "etc/fstab"
        assert fstab.read_text() == "# theirs\nUUID=1 / ext4 defaults 0 1\n/dev/vdb /m ext4 defaults 0 2\n"
        twice(world, 'Mount("/m", action="disable")')
        assert fstab.read_text() == "# theirs\nUUID=1 / ext4 defaults 0 1\n"

    def test_is_remounted_each_time(self, world, mounts):
        world.recipe('Mount("/m", action="remount", options="ro")')
        assert world.calls() == ["mount -o remount,ro /m"]
