"""Migrations past their time, and what the code of before can live with; Django's own part is judged on a machine."""

from types import SimpleNamespace

import pytest
from release import judge

from tests.unit.release.site_world import until

NOT_PROVIDED = type("NOT_PROVIDED", (), {})


def field(kind="CharField", **more):
    plain = {"null": False, "many_to_many": False, "unique": False, "db_column": None, "max_length": None}
    return SimpleNamespace(**{**plain, "db_default": NOT_PROVIDED, **more, "get_internal_type": lambda: kind})


def operation(kind, **attributes):
    return type(kind, (), {"state_forwards": lambda *_: None, **attributes})()


def told(one, before=None):
    """What is said of an operation on Entry.text, which was `before`."""
    state = SimpleNamespace(models={("site", "entry"): SimpleNamespace(fields={"text": before})})
    found = {"pending": [], "breaks": [], "unknown": []}
    judge._judge_migration(SimpleNamespace(app_label="site", name="0002", operations=[one]), state, found)
    return found["breaks"], found["unknown"]


def changed(before, after):
    return told(operation("AlterField", model_name="Entry", name="text", field=after), before)


@pytest.mark.parametrize(
    ("kind", "attributes", "said"),
    [
        ("RemoveField", {"model_name": "Entry", "name": "text"}, "removes Entry.text"),
        ("DeleteModel", {"name": "Entry"}, "removes Entry"),
        ("RenameField", {"model_name": "Entry", "old_name": "a", "new_name": "b"}, "renames Entry.a to b"),
        ("RenameModel", {"old_name": "Entry", "new_name": "Post"}, "renames Entry to Post"),
        ("AddConstraint", {"model_name": "Entry"}, "constrains what may be written into Entry"),
        (
            "AddField",
            {"model_name": "Entry", "name": "mood", "field": field()},
            "adds Entry.mood, which the database has no default for",
        ),
    ],
)
def test_what_the_old_code_can_not_live_with_is_named(kind, attributes, said):
    assert told(operation(kind, **attributes)) == ([f"site.0002 {said}"], [])


@pytest.mark.parametrize("more", [{"null": True}, {"db_default": 0}, {"many_to_many": True}])
def test_a_new_field_that_old_code_need_not_know(more):
    assert told(operation("AddField", model_name="Entry", name="mood", field=field(**more))) == ([], [])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (field(null=True), field(), "forbids Entry.text to be NULL"),
        (field(), field(unique=True), "wants Entry.text unique"),
        (field(), field(db_column="other"), "renames the column of Entry.text"),
        (field(), field("IntegerField"), "makes Entry.text a IntegerField"),
        (field(max_length=20), field(max_length=10), "shortens Entry.text to 10"),
    ],
)
def test_a_field_that_became_narrower(before, after, said):
    assert changed(before, after) == ([f"site.0002 {said}"], [])


def test_a_field_that_became_wider_is_nobodys_trouble():
    assert changed(field(max_length=10), field(max_length=20, null=True)) == ([], [])


def test_what_nobody_can_tell_from_outside_is_said_so():
    inner = operation("RunPython")
    both = operation("SeparateDatabaseAndState", database_operations=[inner, operation("CreateModel", name="Post")])
    assert told(both) == ([], ["site.0002 does RunPython"])


def test_a_migration_past_its_time_is_stopped_and_the_old_release_serves(machine, repository):
    machine.deployed(repository, repository.commit("one"))
    sha = repository.commit("two", files={"migrations/0001": "", "migrations/0002": "hang"})
    release = machine.fetched(repository, sha)[1]["release"]
    code, result = machine.ask("migrate", release=release, timeout=1)
    assert code == 1
    assert machine.failure["what"] == "A migration of blog takes longer than 1 s"
    assert "it was stopped after 1 s" in machine.failure["why"]
    assert "--migrate-timeout" in machine.failure["hint"]
    assert result["applied"] == ["site.0001"]
    assert "applied before that, and stays so: site.0001" in machine.failure["output"]
    assert machine.word() == "one"
    pid = int(machine.database.with_name("database.hanging").read_text())
    until(lambda: not _alive(pid))


def test_a_django_that_says_nothing_of_its_migrations_is_asked_the_plain_way(machine, repository):
    release = machine.fetched(repository, repository.commit(files={"migrations/0001": ""}))[1]["release"]
    code, result = machine.ask("migrate", release=release)
    assert (code, result["applied"]) == (0, ["site.0001"])
    assert result["verdict"].startswith("nobody can tell")
    assert machine.ask("migrate", release=release)[1] == {"applied": [], "changed": False}


def _alive(pid):
    from pathlib import Path

    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False
