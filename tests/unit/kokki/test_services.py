"""Service against a fake systemctl that remembers: one look for all, acts only on what differs, once."""

import pytest

# One directory per unit with files active, enabled, stale, broken, reload.
SYSTEMCTL = r"""
    verb=$1
    case $verb in
    show)
        shift; shift; shift
        first=1
        for unit in "$@"; do
            test $first || echo; first=
            d="$HERE/units/$unit"
            echo "Id=$unit"
            echo "ActiveState=$(cat "$d/active" 2>/dev/null || echo inactive)"
            echo "UnitFileState=$(cat "$d/enabled" 2>/dev/null || echo disabled)"
            echo "NeedDaemonReload=$(cat "$d/stale" 2>/dev/null || echo no)"
            echo "CanReload=$(cat "$d/reload" 2>/dev/null || echo yes)"
        done;;
    daemon-reload) rm -f "$HERE/units"/*/stale;;
    *)
        d="$HERE/units/$3"
        mkdir -p "$d"
        test -e "$d/broken" && { echo "Job for $3 failed."; exit 1; }
        case $verb in
        start|restart|reload) echo active > "$d/active";;
        stop) echo inactive > "$d/active";;
        enable) echo enabled > "$d/enabled";;
        disable|unmask) echo disabled > "$d/enabled";;
        esac;;
    esac
"""
JOURNAL = "echo 'cannot bind to port 80'\n"


@pytest.fixture
def units(world):
    folder = world.path / "units"
    folder.mkdir()
    world.tool("systemctl", SYSTEMCTL)
    world.tool("journalctl", JOURNAL)

    def unit(name, **files):
        (folder / name).mkdir(exist_ok=True)
        for key, text in files.items():
            (folder / name / key).write_text(text + "\n")

    return unit


def acts(world):
    return [
        call.removeprefix("systemctl ").replace("-- ", "") for call in world.calls("systemctl") if " show " not in call
    ]


class TestState:
    @pytest.mark.parametrize(
        ("arguments", "calls", "changes"),
        [
            ("enabled=True, running=True", ["enable x.service", "start x.service"], ["enabled", "started"]),
            ('action="start"', ["start x.service"], ["started"]),
            ('action="start", enabled=True', ["enable x.service", "start x.service"], ["enabled", "started"]),
            ('action=["enable", "start"]', ["enable x.service", "start x.service"], ["enabled", "started"]),
            ('action="stop", enabled=False', [], []),
        ],
    )
    def test_is_reached_once(self, world, units, arguments, calls, changes):
        recipe = f'Service("x", {arguments})'
        dry = world.recipe(recipe, dry_run=True)
        assert acts(world) == []
        first = world.recipe(recipe)
        assert acts(world) == calls
        assert sorted(first.of("resource-done")[0]["changes"]) == changes
        assert sorted(dry.of("resource-done")[0]["changes"]) == changes
        assert world.recipe(recipe).states == ["ok"]
        assert acts(world) == []

    def test_stopped_and_disabled(self, world, units):
        units("x.service", active="active", enabled="enabled")
        cooked = world.recipe('Service("x", running=False, enabled=False)')
        assert sorted(acts(world)) == ["disable x.service", "stop x.service"]
        assert sorted(cooked.of("resource-done")[0]["changes"]) == ["disabled", "stopped"]

    def test_one_look_for_all(self, world, units):
        for name in "abc":
            units(f"{name}.service", active="active", enabled="enabled")
        assert world.recipe('for n in "abc":\n    Service(n, running=True, enabled=True)').states == ["ok"] * 3
        assert len(world.calls("systemctl")) == 1

    def test_a_service_nobody_asks_anything_of_costs_nothing(self, world, units):
        assert world.recipe('Service("x")').states == ["ok"]
        assert world.calls() == []

    def test_static_is_enabled(self, world, units):
        units("x.service", enabled="static")
        assert world.recipe('Service("x", enabled=True)').states == ["ok"]

    def test_masked_is_unmasked(self, world, units):
        units("x.service", enabled="masked")
        world.recipe('Service("x", enabled=True)')
        assert acts(world) == ["unmask x.service", "enable x.service"]

    def test_timers_and_instances(self, world, units):
        world.recipe('Service("backup.timer", running=True)\nService("postgresql@15-main", running=True)')
        assert acts(world) == ["start backup.timer", "start postgresql@15-main.service"]

    def test_units_that_changed_on_disk_are_read_again(self, world, units):
        units("x.service", active="active", stale="yes")
        cooked = world.recipe('Service("x", running=True)')
        assert acts(world) == ["daemon-reload"]
        assert cooked.of("resource-done")[0]["changes"] == ["unit read again"]


class TestNotified:
    RECIPE = """
        x = Service("x", running=True)
        File(OUT + "/a", content="1", notifies=[("restart", x), ("reload", x)])
        File(OUT + "/b", content="1", notifies=[("reload", x)])
    """

    def test_restart_makes_reload_needless(self, world, units):
        units("x.service", active="active")
        cooked = world.recipe(self.RECIPE)
        assert acts(world) == ["restart x.service"]
        assert [event["state"] for event in cooked.of("resource-done")[-2:]] == ["changed", "skipped"]

    def test_a_start_after_the_change_makes_both_needless(self, world, units):
        world.recipe("""
            x = Service("x")
            File(OUT + "/a", content="1", notifies=[("restart", x), ("reload", x)])
            Execute("go", command="true", notifies=[("start", x, True)])
        """)
        assert acts(world) == ["start x.service"]

    def test_a_start_before_the_change_does_not(self, world, units):
        world.recipe(self.RECIPE)
        assert acts(world) == ["start x.service", "restart x.service"]

    def test_restart_of_what_is_down_starts_it(self, world, units):
        world.recipe('x = Service("x")\nFile(OUT + "/a", content="1", notifies=[("restart", x)])')
        assert acts(world) == ["start x.service"]

    def test_reload_of_what_can_not_is_a_restart(self, world, units):
        units("x.service", active="active", reload="no")
        world.recipe('x = Service("x")\nFile(OUT + "/a", content="1", notifies=[("reload", x)])')
        assert acts(world) == ["restart x.service"]


class TestCommands:
    def test_replace_systemctl(self, world, units):
        world.recipe("""
            def say(word):
                return "echo " + word + " >> " + OUT + "/said"
            x = Service("x", action="start", status_command="test -e " + OUT + "/up",
                        start_command=say("start") + "; touch " + OUT + "/up", reload_command=say("reload"))
            File(OUT + "/a", content="1")
            Execute("go", command="true", notifies=[("reload", x)])
        """)
        assert (world.out / "said").read_text() == "start\nreload\n"
        assert acts(world) == []

    def test_that_fail(self, world, units):
        units("x.service", active="active")
        cooked = world.recipe("""
            x = Service("x", reload_command="echo bad configuration; false")
            File(OUT + "/a", content="1", notifies=[("reload", x)])
        """)
        assert cooked.done["Service[x]"]["error"]["output"] == ["bad configuration"]
        assert cooked.code == 1


class TestFailure:
    def test_carries_the_journal(self, world, units):
        units("x.service", broken="")
        error = world.recipe('Service("x", running=True)').of("resource-done")[0]["error"]
        assert error["message"] == "x.service could not start: exit code 1"
        assert error["output"] == ["Job for x.service failed.", "journal: cannot bind to port 80"]
        assert "journalctl -u x.service -n 15" in "".join(world.calls("journalctl"))
