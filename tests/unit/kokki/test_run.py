"""A run as its caller sees it: events in order, exit codes, notifications that survive, one run at a time."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import kokki
import pytest
from kokki.runner import cook

TARGET = Path(kokki.__file__).parent.parent


class TestEvents:
    def test_tell_the_story(self, world):
        cooked = world.recipe("""
            late = Execute("late", command="true", action="nothing")
            File(OUT + "/a", content="x", mode=0o600, notifies=[("run", late)])
        """, roles=["appnode"])  # fmt: skip
        assert [event["event"] for event in cooked.events] == [
            "run-begun",
            *["resource-begun", "resource-done"] * 2,
            "notification",
            *["resource-begun", "resource-done"],
            "run-done",
        ]
        begun = cooked.events[0]
        assert (begun["version"], begun["host"], begun["roles"], begun["count"]) == (1, "h1", ["appnode"], 2)
        done = cooked.of("resource-done")[1]
        assert done["source"] == "app/recipes/default.py:4"
        assert (done["type"], done["name"], done["action"]) == ("File", str(world.out / "a"), "create")
        assert done["ms"] >= 0
        note = cooked.of("notification")[0]
        assert (note["from"], note["to"]) == (f"File[{world.out}/a]", "Execute[late]")
        assert (note["action"], note["when"]) == ("run", "delayed")
        assert cooked.events[-1]["state"] == "ok"
        assert cooked.totals == {"ok": 1, "changed": 2}

    def test_are_json(self, world):
        json.dumps(world.recipe('File(OUT + "/a", content=b"\\xff")').events)

    def test_exit_codes(self, world):
        recipe = 'File(OUT + "/a", content="x")'
        assert [world.recipe(recipe, dry_run=dry).code for dry in (True, False, True)] == [2, 0, 0]
        assert world.recipe('Execute("false")').code == 1


class TestFailures:
    def test_stop_the_run(self, world):
        cooked = world.recipe('Execute("false")\nFile(OUT + "/a")')
        assert (cooked.code, cooked.states, cooked.events[-1]["state"]) == (1, ["failed"], "failed")
        assert cooked.of("failure") == []

    def test_that_are_ignored_are_shown_and_go_on(self, world):
        cooked = world.recipe('Execute("false", ignore_failures=True)\nFile(OUT + "/a")')
        assert (cooked.code, cooked.states) == (0, ["failed", "changed"])
        assert cooked.of("resource-done")[0]["ignored"] is True

    def test_of_a_provider_name_type_and_place(self, world):
        world.file("app", "libraries/l.py", "def boom():\n    return {}['x']\n")
        cooked = world.recipe('File(OUT + "/a", content=env.cookbooks.app.boom)')
        assert cooked.of("resource-done")[0]["error"]["message"] == "KeyError: 'x' (at app/libraries/l.py:2)"

    @pytest.mark.parametrize(
        ("line", "what", "hint"),
        [
            ("x = (", "syntax error", ""),
            ('env.config.app.usr', "app.usr is not set; did you mean 'user'?", ""),
            ('Fiel("/x")', "NameError: name 'Fiel' is not defined", "did you mean 'File'?"),
            ('del File; File("/x")', "NameError: name 'File' is not defined", "begins with `from kokki import *`"),
            ('env.include_recipe("ap")', "Cookbook ap not found; did you mean 'app'?", "searched: "),
            ('File("/x", mod=1)', "File[/x] received unsupported argument mod=1; did you mean 'mode'?", ""),
            ('Template("app/x.j2")', "app/templates/x.j2 not found", ""),
            ("1 / 0", "ZeroDivisionError: division by zero", ""),
        ],
    )  # fmt: skip
    def test_of_a_recipe_show_the_line(self, world, line, what, hint):
        cooked = world.recipe(f"\n{line}\n", attributes={"app.user": "x"})
        failure = cooked.failure
        assert cooked.code == 1
        assert what in failure["what"]
        assert hint in failure["hint"]
        assert (failure["where"], failure["source_line"]) == ("app/recipes/default.py:3", line)
        assert cooked.events[-1]["state"] == "failed"

    def test_of_an_unknown_recipe(self, world):
        world.book("app", default="")
        assert (
            "Recipe dfault in cookbook app not found; did you mean 'default'"
            in world.cook("app.dfault").failure["what"]
        )


class TestNotifications:
    def test_immediate_at_once_delayed_at_the_end_each_once(self, world):
        cooked = world.recipe("""
            second = Execute("second", command="true", action="nothing")
            first = Execute("first", command="true", action="nothing")
            File(OUT + "/a", content="x", notifies=[("run", first), ("run", second), ("run", first, True)])
            File(OUT + "/b", content="x", notifies=[("run", first)])
        """)
        done = [(event["name"].rsplit("/")[-1], event["action"]) for event in cooked.of("resource-done")]
        assert done == [
            ("second", "nothing"),
            ("first", "nothing"),
            ("a", "create"),
            ("first", "run"),
            ("b", "create"),
            ("second", "run"),
            ("first", "run"),
        ]

    def test_a_resource_notified_before_its_turn_is_ok_when_its_turn_finds_nothing_to_do(self, world):
        cooked = world.recipe("""
            a = File(OUT + "/a", content="x", mode=0o600)
            b = File(OUT + "/b", content="x", mode=0o600, subscribes=[("create", a, True)])
            Execute("late", command="true", only_if=lambda: b.is_updated)
        """)  # fmt: skip
        told = [(event["name"][-1], event["state"], bool(event["changes"])) for event in cooked.of("resource-done")]
        assert told == [("a", "changed", True), ("b", "changed", True), ("b", "ok", False), ("e", "changed", True)]

    def test_only_when_something_changed(self, world):
        recipe = """
            late = Execute("late", command="true", action="nothing")
            File(OUT + "/a", content="x", notifies=[("run", late)])
        """
        world.recipe(recipe)
        assert world.recipe(recipe).of("notification") == []

    def test_subscribes_is_notifies_from_the_other_side(self, world):
        cooked = world.recipe("""
            a = File(OUT + "/a", content="x")
            Execute("late", command="true", action="nothing", subscribes=[("run", a)])
        """)
        assert cooked.done["Execute[late]"]["state"] == "changed"

    def test_a_dry_run_tells_them(self, world):
        cooked = world.recipe("""
            late = Execute("late", command="touch " + OUT + "/late", action="nothing")
            File(OUT + "/a", content="x", notifies=[("run", late)])
        """, dry_run=True)  # fmt: skip
        assert cooked.done["Execute[late]"]["state"] == "would-change"
        assert list(world.out.iterdir()) == []

    def test_in_a_circle_end(self, world):
        cooked = world.recipe("""
            a = Execute("a", command="true")
            b = Execute("b", command="true", action="nothing", notifies=[("run", a, True)])
            a.subscribe("run", b, True)
        """)
        assert cooked.code == 1
        assert "round in a circle: Execute[a] -> Execute[b] -> Execute[a]" in cooked.failure["what"]

    def test_one_that_fails_does_not_keep_the_others_back(self, world):
        cooked = world.recipe("""
            bad = Execute("bad", command="false", action="nothing")
            good = Execute("good", command="true", action="nothing")
            File(OUT + "/a", content="x", notifies=[("run", bad), ("run", good)])
        """)
        assert cooked.code == 1
        assert (cooked.done["Execute[bad]"]["state"], cooked.done["Execute[good]"]["state"]) == ("failed", "changed")


RELOADED = """
    reload = Execute("reload", command="echo >> " + OUT + "/reloads", action="nothing")
    File(OUT + "/conf", content="new", notifies=[("run", reload)])
"""


class TestPending:
    def owed(self, world):
        path = world.root / "var/lib/deploymachine/kokki/pending.json"
        return json.loads(path.read_text()) if path.exists() else []

    def test_what_a_failed_run_owes_the_next_one_does(self, world):
        assert world.recipe(RELOADED + '    Execute("false")').code == 1
        assert self.owed(world) == [["Execute", "reload", "run"]]
        again = world.recipe(RELOADED)
        assert (again.code, again.states) == (0, ["ok", "ok", "changed"])
        assert self.owed(world) == []
        assert world.recipe(RELOADED).states == ["ok", "ok"]

    def test_a_dry_run_tells_and_keeps_it(self, world):
        world.recipe(RELOADED + '    Execute("false")')
        assert world.recipe(RELOADED, dry_run=True).done["Execute[reload]"]["state"] == "would-change"
        assert self.owed(world)

    def test_a_delayed_action_that_failed_is_owed(self, world):
        failing = RELOADED.replace('"echo >> "', '"test -e " + OUT + "/ready && echo >> "')
        assert world.recipe(failing).code == 1
        (world.out / "ready").touch()
        assert world.recipe(failing).done["Execute[reload]"]["state"] == "changed"

    def test_nothing_is_owed_for_a_file_that_failed_its_check(self, world):
        world.recipe(RELOADED.replace('content="new"', 'content="new", validate="false %s"'))
        assert self.owed(world) == []

    def test_who_is_stopped_by_a_later_run_is_not_restarted_for_what_an_earlier_one_owed(self, world):
        noted = "echo >> " + str(world.out)
        service = (
            f'    daemon = Service("daemon", status_command="false", start_command="{noted}/starts", '
            f'stop_command="true", restart_command="{noted}/starts", action={{action!r}})\n'
        )
        conf = '    File(OUT + "/conf", content="new", notifies=[("restart", daemon)])\n'
        assert world.recipe(service.format(action="nothing") + conf + '    Execute("false")').code == 1
        assert self.owed(world) == [["Service", "daemon", "restart"]]
        assert world.recipe(service.format(action="stop")).code == 0
        assert self.owed(world) == []
        assert not (world.out / "starts").exists()

    def test_a_run_of_other_recipes_leaves_it_alone(self, world):
        world.recipe(RELOADED + '    Execute("false")')
        world.recipe("""
            late = Execute("late", command="true", action="nothing")
            File(OUT + "/b", content="x", notifies=[("run", late)])
        """)
        assert self.owed(world) == [["Execute", "reload", "run"]]
        assert world.recipe(RELOADED).done["Execute[reload]"]["state"] == "changed"

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_killed_at_the_change(self, world, moment):
        """kill -9 right before or after the file is replaced: the reload is owed either way."""
        world.recipe("")
        world.recipe(RELOADED, dry_run=True)
        program = f"""
            import os, signal, sys
            sys.path[:0] = {[str(TARGET), *sys.path]!r}
            from kokki import writing
            from kokki.runner import cook
            land = writing.Replacement.land
            def killed(self):
                if {moment == "after"}:
                    land(self)
                os.kill(os.getpid(), signal.SIGKILL)
            writing.Replacement.land = killed
            cook({{"recipes": ["app"], "cookbook_paths": [{str(world.books)!r}]}}, lambda event: None)
        """
        ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
        assert ended.returncode == -signal.SIGKILL
        assert (world.out / "conf").exists() is (moment == "after")
        assert world.recipe(RELOADED).done["Execute[reload]"]["state"] == "changed"
        assert (world.out / "reloads").read_text() == "\n"
        assert sorted(path.name for path in world.out.iterdir()) == ["conf", "reloads"]


class TestLock:
    @pytest.fixture
    def held(self, world):
        path = world.root / "run/lock/deploymachine-kokki.lock"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"owner": "ann", "pid": 42, "start": "10:00", "command": "fab appnode launch"}))
        with path.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream

    def test_says_who_holds_it(self, world, held):
        cooked = world.recipe('File(OUT + "/a")', lock_wait=0)
        assert cooked.code == 1
        assert cooked.failure["what"] == "another run is under way: fab appnode launch of ann, process 42, since 10:00"
        assert list(world.out.iterdir()) == []

    def test_waits_for_it(self, world, held):
        events = []

        def emit(event):
            events.append(event)
            if event["event"] == "step-begun":
                fcntl.flock(held, fcntl.LOCK_UN)

        world.recipe("", dry_run=True, lock_wait=0)
        assert cook({"recipes": ["app"], "cookbook_paths": [str(world.books)], "lock_wait": 30}, emit) == 0
        assert "waiting for fab appnode launch of ann" in events[0]["detail"]

    def test_of_a_dead_run_is_free(self, world, held):
        fcntl.flock(held, fcntl.LOCK_UN)
        assert world.recipe('File(OUT + "/a")', lock_wait=0).code == 0


class TestStopping:
    def test_a_signal_ends_the_run_between_two_resources(self, world):
        cooked = world.recipe(f"""
            late = Execute("late", command="true", action="nothing")
            Execute("first", command="kill -TERM {os.getpid()}; touch " + OUT + "/finished", notifies=[("run", late)])
            File(OUT + "/a")
        """)
        assert (cooked.code, (world.out / "finished").exists(), (world.out / "a").exists()) == (1, True, False)
        assert cooked.failure["what"] == f"SIGTERM received; stopped before File[{world.out}/a]"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert world.recipe('Execute("late", command="true", action="nothing")').states == ["ok", "changed"]

    def test_a_closed_connection_ends_it_too(self, world):
        world.recipe('File(OUT + "/a", content="x")\nFile(OUT + "/b")', dry_run=True)

        def closed(event):
            if event["event"] == "resource-done":
                raise BrokenPipeError

        assert cook({"recipes": ["app"], "cookbook_paths": [str(world.books)]}, closed) == 1
        assert [path.name for path in world.out.iterdir()] == ["a"]


class TestOwnProviders:
    RECIPE = """
        env.cookbooks.app.Touched(OUT + "/a")
    """
    LIBRARY = """
        from kokki import *
        class Touched(Resource):
            action = ForcedListArgument(default="touch")
            actions = Resource.actions + ["touch"]
            provider = "*app.TouchProvider"
        class TouchProvider(Provider):
            def action_touch(self):
                open(self.resource.name, "a").close()
                self.resource.updated()
    """

    def test_that_just_act_are_unknown_in_a_dry_run(self, world):
        world.file("app", "libraries/l.py", self.LIBRARY)
        dry = world.recipe(self.RECIPE, dry_run=True)
        assert (dry.code, dry.states) == (2, ["unknown"])
        assert list(world.out.iterdir()) == []
        assert world.recipe(self.RECIPE).states == ["changed"]

    def test_without_the_action(self, world):
        world.file("app", "libraries/l.py", self.LIBRARY.replace("action_touch", "action_other"))
        cooked = world.recipe(self.RECIPE)
        assert "does not implement action touch" in cooked.of("resource-done")[0]["error"]["message"]
