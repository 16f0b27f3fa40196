"""A secret is where it belongs and nowhere else."""

import json
import stat

import pytest
from kokki import Secret
from kokki.secrets import SHOWN, forget, redact, reveal

WORD = "correct horse'battery"


@pytest.fixture(autouse=True)
def _clean():
    forget()
    yield
    forget()


def cook(world, recipe, **request):
    return world.recipe(recipe, attributes={"app.password": {"$secret": WORD}}, **request)


def told(cooked):
    return json.dumps(cooked.events)


class TestRedaction:
    def test_of_text_lists_and_dicts(self):
        Secret(WORD)
        assert redact({"a": [f"x{WORD}y", 5]}) == {"a": [f"x{SHOWN}y", 5]}

    def test_of_what_quoting_makes_of_it(self):
        Secret(WORD)
        for form in ("correct%20horse%27battery", "correct horse'\"'\"'battery"):
            assert redact(form) == SHOWN

    def test_of_each_line_of_a_key(self):
        Secret("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END KEY-----\n")
        assert redact("+MIIEvQIBADANBgkqhkiG9w0") == f"+{SHOWN}"
        assert redact("-----BEGIN KEY-----") == "-----BEGIN KEY-----"

    def test_spares_what_is_too_short_to_be_one(self):
        Secret("on")
        assert redact("only one") == "only one"

    def test_repr_hides_it_and_text_is_made_with_it(self):
        secret = Secret(WORD)
        assert WORD not in repr([secret])
        assert f"password={secret}" == f"password={WORD}"

    def test_reveal(self):
        found = reveal({"a": {"$secret": WORD}, "b": [{"c": {"$secret": WORD}}]})
        assert isinstance(found["a"], Secret)
        assert isinstance(found["b"][0]["c"], Secret)


class TestFiles:
    RECIPE = 'File(OUT + "/a", content=f"p={env.config.app.password}\\nn=%s\\n")'

    def test_have_it_but_no_event_has(self, world):
        cooked = cook(world, self.RECIPE % 1)
        assert (world.out / "a").read_text() == f"p={WORD}\nn=1\n"
        assert WORD not in told(cooked)
        assert "not shown" in cooked.of("resource-done")[0]["diff"]

    def test_are_for_their_owner_alone_unless_said_otherwise(self, world):
        cook(world, self.RECIPE % 1)
        assert stat.S_IMODE((world.out / "a").stat().st_mode) == 0o600

    def test_backups_are_for_root_alone(self, world):
        cook(world, self.RECIPE % 1)
        (world.out / "a").chmod(0o644)
        cook(world, self.RECIPE % 2)
        copies = [path for path in (world.root / "var/lib/deploymachine").rglob("*") if path.is_file()]
        assert [stat.S_IMODE(path.stat().st_mode) for path in copies] == [0o600]

    def test_templates_take_it(self, world):
        world.file("app", "templates/t.j2", "p={{ env.config.app.password }}")
        cooked = cook(world, 'File(OUT + "/a", content=Template("app/t.j2"))')
        assert (world.out / "a").read_text() == f"p={WORD}\n"
        assert WORD not in told(cooked)

    def test_removing_it_does_not_show_it(self, world):
        cook(world, self.RECIPE % 1)
        cooked = cook(world, 'File(OUT + "/a", content="gone\\n")')
        assert WORD not in told(cooked)


class TestCommands:
    def test_by_environment_and_stdin(self, world):
        cooked = cook(world, """
            Execute('echo "$P" > ' + OUT + "/a", environment={"P": env.config.app.password})
            Execute("cat > " + OUT + "/b", stdin=env.config.app.password)
        """)  # fmt: skip
        assert cooked.code == 0
        assert [(world.out / name).read_text() for name in "ab"] == [f"{WORD}\n", WORD]
        assert WORD not in told(cooked)

    def test_a_failure_does_not_show_it(self, world):
        cooked = cook(world, 'Execute(f"echo \\"{env.config.app.password}\\"; false")')
        assert cooked.code == 1
        assert cooked.of("resource-done")[0]["error"]["output"] == [SHOWN]
        assert WORD not in told(cooked)

    def test_a_recipe_error_does_not_show_it(self, world):
        assert WORD not in told(cook(world, 'raise Fail("bad: " + env.config.app.password)'))
