"""Package against a fake apt-get that keeps dpkg's status file: one transaction, no questions, no service too early."""

import os
import stat

import pytest

APT = r"""
    status="$ROOT/var/lib/dpkg/status"
    case " $* " in
    *" update "*)
        cat "$HERE/fake/update-output" 2>/dev/null
        exit $(cat "$HERE/fake/update-code" 2>/dev/null || echo 0);;
    *" install "*)
        test -e "$HERE/fake/locked" && { rm "$HERE/fake/locked"; echo "E: Could not get lock /x"; exit 100; }
        cp "$ROOT/usr/sbin/policy-rc.d" "$HERE/fake/policy-seen" 2>/dev/null
        env > "$HERE/fake/environment"
        test -e "$HERE/fake/broken" && { echo "E: it broke"; exit 100; }
        after=
        for word in "$@"; do
            test "$after" && printf 'Package: %s\nStatus: install ok installed\nVersion: %s\n\n' \
                "${word%%=*}" "$(echo "$word=2.0" | cut -d= -f2)" >> "$status"
            test "$word" = -- && after=1
        done;;
    *" remove "*|*" purge "*) : > "$status";;
    esac
    exit 0
"""
POLICY = r"""
    shift; shift
    for name in "$@"; do
        grep -qx "$name" "$HERE/fake/known" && printf '%s:\n  Installed: (none)\n  Candidate: 2.0\n' "$name"
    done
    exit 0
"""
SYSTEMCTL = 'test "$1" = list-units && echo "ssh.service loaded active running OpenSSH"\nexit 0\n'


@pytest.fixture
def apt(world):
    fake = world.path / "fake"
    fake.mkdir()
    world.tool("apt-get", APT)
    world.tool("apt-cache", POLICY)
    world.tool("systemctl", SYSTEMCTL)
    world.tool("dpkg", "exit 0\n")
    world.etc(
        "var/lib/dpkg/status",
        "Package: bash\nStatus: install ok installed\nVersion: 5.2\nProvides: shell, sh (= 1)\n\n",
    )
    world.etc("var/lib/apt/lists/mirror_Packages", "")
    (fake / "known").write_text("nginx\nredis\ncurl\ngit\n")
    return fake


def installs(world):
    return [call.split(" -- ")[1] for call in world.calls("apt-get") if " install " in call]


class TestInstall:
    def test_starts_no_process_for_what_is_there(self, world, apt):
        cooked = world.recipe('Package("bash")\nPackage("sh")\nPackage("x", package_name="bash", version="5.*")')
        assert cooked.states == ["ok", "ok", "ok"]
        assert world.calls() == []

    def test_is_one_transaction_for_all(self, world, apt):
        recipe = 'Package("nginx")\nFile(OUT + "/a")\nPackage("bash")\nPackage("redis")\nPackage("curl")'
        cooked = world.recipe(recipe)
        assert installs(world) == ["nginx redis curl"]
        assert cooked.states == ["changed", "changed", "ok", "changed", "changed"]
        assert [event["changes"] for event in cooked.of("resource-done") if event["type"] == "Package"] == [
            ["installed 2.0"],
            [],
            ["installed 2.0"],
            ["installed 2.0"],
        ]
        assert set(world.recipe(recipe).states) == {"ok"}

    def test_a_dry_run_runs_nothing(self, world, apt):
        cooked = world.recipe('Package("nginx")\nPackage("redis")', dry_run=True)
        assert (cooked.code, cooked.states) == (2, ["would-change", "would-change"])
        assert world.calls() == []

    def test_never_asks_and_keeps_configuration(self, world, apt):
        world.recipe('Package("nginx")')
        call = next(call for call in world.calls("apt-get") if " install " in call)
        for words in ("-y", "--force-confold", "DPkg::Lock::Timeout", "APT::Install-Recommends=false"):
            assert words in call
        assert "DEBIAN_FRONTEND=noninteractive" in (apt / "environment").read_text()

    def test_recommends_by_argument_and_setting(self, world, apt):
        world.recipe('Package("nginx", recommends=True)')
        world.recipe('Package("redis")', attributes={"kokki.apt.recommends": True})
        calls = [call for call in world.calls("apt-get") if " install " in call]
        assert all("APT::Install-Recommends=true" in call for call in calls)
        assert len(calls) == 2

    def test_those_that_wait_for_something_wait(self, world, apt):
        world.recipe("""
            Package("nginx")
            Package("redis", only_if="test -e " + OUT + "/a")
            Package("curl", together=False)
            File(OUT + "/a")
        """)
        assert installs(world) == ["nginx", "curl"]

    def test_those_after_a_new_source_wait_for_it(self, world, apt):
        cooked = world.recipe("""
            Package("nginx")
            File("/etc/apt/sources.list.d/no-such-directory/x.list", ignore_failures=True, content="x")
            Package("redis")
        """)
        assert cooked.code == 0
        assert installs(world) == ["nginx", "redis"]

    @pytest.mark.parametrize(("version", "word"), [("1.5", "nginx=1.5"), ("2.*", "nginx=2.0")])
    def test_a_version(self, world, apt, version, word):
        recipe = f'Package("nginx", version="{version}")'
        world.recipe(recipe)
        assert installs(world) == [word]
        assert world.recipe(recipe).states == ["ok"]

    def test_a_version_apt_does_not_have(self, world, apt):
        cooked = world.recipe('Package("nginx", version="3.*")')
        assert cooked.of("resource-done")[0]["error"]["message"] == "nginx would come as 2.0, which is not 3.*"

    def test_a_failure_carries_what_apt_said(self, world, apt):
        (apt / "broken").touch()
        error = world.recipe('Package("nginx")').of("resource-done")[0]["error"]
        assert (error["exit_code"], error["output"]) == (100, ["E: it broke"])

    def test_waits_for_who_has_the_lock(self, world, apt, monkeypatch):
        monkeypatch.setattr("kokki.apt.LOCK_PAUSE", 0)
        (apt / "locked").touch()
        assert world.recipe('Package("nginx")').code == 0

    def test_an_unknown_one_fails_alone(self, world, apt):
        world.recipe('Package("nginx")\nPackage("nosuch")')
        assert installs(world) == ["nginx", "nosuch"]

    def test_remove_and_purge(self, world, apt):
        assert world.recipe('Package("bash", action="remove")').states == ["changed"]
        assert [call.split()[-3:] for call in world.calls("apt-get")] == [["remove", "--", "bash"]]
        assert world.recipe('Package("bash", action="purge")').states == ["ok"]

    def test_upgrade(self, world, apt):
        (apt / "known").write_text("bash\n")
        assert world.recipe('Package("bash", action="upgrade")').states == ["changed"]
        assert installs(world) == ["bash"]


class TestIndex:
    def updates(self, world):
        return len([call for call in world.calls("apt-get") if call.endswith(" update")])

    def test_is_left_alone_while_fresh(self, world, apt):
        world.recipe('Package("nginx")')
        assert self.updates(world) == 0

    def test_is_refreshed_when_old(self, world, apt):
        os.utime(world.root / "var/lib/apt/lists", (1, 1))
        world.recipe('Package("nginx")')
        assert self.updates(world) == 1
        world.recipe('Package("redis")')
        assert self.updates(world) == 0

    def test_is_refreshed_by_the_setting(self, world, apt):
        world.recipe('Package("nginx")', attributes={"kokki.apt.max_age": -1})
        assert self.updates(world) == 1

    def test_is_refreshed_when_there_is_none_or_sources_changed(self, world, apt):
        (world.root / "var/lib/apt/lists/mirror_Packages").unlink()
        world.recipe('Package("nginx")')
        assert self.updates(world) == 1

    def test_is_refreshed_when_a_package_is_unknown(self, world, apt):
        world.recipe('Package("nosuch")')
        assert self.updates(world) == 1

    def test_a_mirror_that_is_gone_is_told_when_it_matters(self, world, apt):
        (apt / "update-code").write_text("100")
        (apt / "update-output").write_text("E: Failed to fetch the index\n")
        error = world.recipe('Package("nosuch")').of("resource-done")[0]["error"]
        assert "without it nosuch can't be installed" in error["message"]
        assert error["output"] == ["E: Failed to fetch the index"]

    def test_a_broken_source_does_not_keep_known_packages_out(self, world, apt):
        (apt / "update-code").write_text("100")
        assert world.recipe('Package("nginx")', attributes={"kokki.apt.max_age": -1}).code == 0


class TestPolicy:
    def policy(self, world):
        return world.root / "usr/sbin/policy-rc.d"

    def test_holds_new_services_back_while_packages_come_in(self, world, apt):
        world.recipe('Package("nginx")')
        seen = apt / "policy-seen"
        seen.chmod(0o755)
        import subprocess

        assert subprocess.run([seen, "nginx", "start"], check=False).returncode == 101
        assert subprocess.run([seen, "ssh", "restart"], check=False).returncode == 0
        assert not self.policy(world).exists()

    def test_is_taken_away_after_a_failure_and_after_a_kill(self, world, apt):
        (apt / "broken").touch()
        world.recipe('Package("nginx")')
        assert not self.policy(world).exists()
        self.policy(world).write_text("#!/bin/sh\n# written by kokki; left by a killed run\nexit 101\n")
        world.recipe('File(OUT + "/a")')
        assert not self.policy(world).exists()

    def test_of_the_administrator_is_left_alone(self, world, apt):
        self.policy(world).write_text("#!/bin/sh\nexit 0\n")
        world.recipe('Package("nginx")')
        assert self.policy(world).read_text() == "#!/bin/sh\nexit 0\n"
        assert stat.S_IMODE(self.policy(world).stat().st_mode) != 0o755


class TestRepair:
    def test_of_an_interrupted_dpkg(self, world, apt):
        world.etc("var/lib/dpkg/updates/0001", "")
        world.recipe('Package("nginx")')
        assert any(call.startswith("dpkg --configure -a") for call in world.calls())

    def test_of_a_package_half_way(self, world, apt):
        world.etc("var/lib/dpkg/status", "Package: nginx\nStatus: install ok half-configured\nVersion: 2.0\n\n")
        world.recipe('Package("nginx")')
        assert any(call.startswith("dpkg --configure -a") for call in world.calls())
