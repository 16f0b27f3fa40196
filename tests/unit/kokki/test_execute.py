"""Execute and Script: real processes, what they see, what is told when they fail."""

import time

import pytest


def error(cooked):
    return cooked.of("resource-done")[0]["error"]


class TestExecute:
    def test_runs_text_by_a_shell_and_lists_as_they_are(self, world):
        cooked = world.recipe("""
            Execute("echo $((1+1)) > " + OUT + "/a")
            Execute("list", command=["touch", OUT + "/b c"])
        """)
        assert (cooked.code, cooked.states) == (0, ["changed", "changed"])
        assert (world.out / "a").read_text() == "2\n"
        assert (world.out / "b c").exists()

    def test_creates(self, world):
        recipe = 'Execute("touch " + OUT + "/a", creates=OUT + "/a")'
        assert world.recipe(recipe, dry_run=True).states == ["would-change"]
        assert [world.recipe(recipe).states, world.recipe(recipe).states] == [["changed"], ["ok"]]
        assert world.recipe(recipe, dry_run=True).code == 0

    def test_a_dry_run_runs_nothing(self, world):
        assert world.recipe('Execute("touch " + OUT + "/a")', dry_run=True).code == 2
        assert list(world.out.iterdir()) == []

    def test_a_failure_carries_command_exit_code_and_last_lines(self, world):
        cooked = world.recipe('Execute("broken", command="seq 30; echo why >&2; exit 3")')
        assert cooked.code == 1
        found = error(cooked)
        assert (found["command"], found["exit_code"]) == ("seq 30; echo why >&2; exit 3", 3)
        assert cooked.of("resource-done")[0]["changes"] == []
        assert found["output"] == [*map(str, range(12, 31)), "why"]

    def test_returns(self, world):
        assert world.recipe('Execute("exit 3", returns=[0, 3])').code == 0
        assert world.recipe('Execute("exit 3", returns=3)').code == 0

    def test_surroundings(self, world):
        world.recipe("""
            Execute('pwd > here; echo "$COLOUR" >> here; echo "$HOME" >> here', cwd=OUT,
                    environment={"COLOUR": "blue"}, user="me")
        """)
        assert (world.out / "here").read_text() == f"{world.out}\nblue\n/home/me\n"

    def test_nothing_can_be_asked(self, world):
        assert error(world.recipe('Execute("read answer")'))["exit_code"] == 1

    def test_stdin(self, world):
        world.recipe('Execute("cat > " + OUT + "/a", stdin="typed")')
        assert (world.out / "a").read_text() == "typed"

    def test_timeout_ends_the_command_and_its_children(self, world):
        begun = time.monotonic()
        cooked = world.recipe('Execute("sleep 60 & sleep 60", timeout=0.2)')
        assert error(cooked)["message"] == "no end after 0.2 s"
        assert time.monotonic() - begun < 30

    def test_a_daemon_left_behind_keeps_nobody_waiting(self, world):
        begun = time.monotonic()
        assert world.recipe('Execute("sleep 40 & echo $! > " + OUT + "/pid")').code == 0
        assert time.monotonic() - begun < 30
        import os
        import signal

        os.kill(int((world.out / "pid").read_text()), signal.SIGKILL)

    def test_an_unknown_user_or_program(self, world):
        assert error(world.recipe('Execute("true", user="nobodyatall")'))["message"].startswith("there is no user")
        assert "can't be run" in error(world.recipe('Execute("x", command=["/no/such"])'))["message"]


class TestScript:
    def test_is_run_by_its_interpreter(self, world):
        world.recipe("""
            Script("s", interpreter="/bin/sh", cwd=OUT, code='echo "$0" > path; stat -c %a "$0" > mode')
        """)
        assert (world.out / "mode").read_text() == "600\n"

    def test_fails_like_a_command(self, world):
        assert error(world.recipe('Script("s", code="exit 4")'))["exit_code"] == 4

    def test_needs_code(self, world):
        assert "required argument code" in world.recipe('Script("s")').failure["what"]


class TestGuards:
    @pytest.mark.parametrize(
        ("guard", "state"),
        [
            ('not_if="true"', "skipped"),
            ('not_if="false"', "changed"),
            ('only_if="true"', "changed"),
            ('only_if="exit 7"', "skipped"),
            ("not_if=lambda: True", "skipped"),
            ("only_if=lambda: False", "skipped"),
            ('not_if="false", only_if="true"', "changed"),
        ],
    )
    def test_decide(self, world, guard, state):
        assert world.recipe(f'Execute("true", {guard})').states == [state]

    def test_hold_for_notifications_too(self, world):
        cooked = world.recipe("""
            late = Execute("touch " + OUT + "/late", action="nothing", not_if="true")
            File(OUT + "/a", content="x", notifies=[("run", late)])
        """)
        assert cooked.states == ["ok", "changed", "skipped"]

    def test_are_asked_in_a_dry_run_as_long_as_nothing_would_have_changed(self, world):
        assert world.recipe('Execute("true", not_if="true")', dry_run=True).states == ["skipped"]

    def test_that_look_at_what_would_have_changed_are_unknown(self, world):
        recipe = """
            File(OUT + "/a", content="x")
            Execute("true", only_if="test -e " + OUT + "/a")
        """
        dry = world.recipe(recipe, dry_run=True)
        assert (dry.code, dry.states) == (2, ["would-change", "unknown"])
        assert "would be decided then" in dry.of("resource-done")[1]["changes"][0]
        assert world.recipe(recipe).states == ["changed", "changed"]

    def test_of_another_kind_are_refused(self, world):
        assert "not_if is a shell command or a callable" in error(world.recipe('Execute("true", not_if=5)'))["message"]
