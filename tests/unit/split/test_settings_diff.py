"""What settings.py has to say afterwards: as a diff, and written with all the rest of the file as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from change_world import deployment

from deploymachine.errors import SettingsError
from deploymachine.settings import load
from deploymachine.split.settings_diff import apply, by_hand, changed, diff
from deploymachine.split.shapes import Change, Newcomer, reversed_

SPLIT = Change(
    "split",
    {"box1": "dbappbalancer"},
    {"box1": "appbalancer", "db1": "dbserver"},
    (Newcomer("db1", "box1"),),
)


def written(path: Path) -> dict[str, tuple[str, str]]:
    return load(path).server_names()


def test_a_split_is_written_and_taken_back_to_the_same_servers(tmp_path: Path) -> None:
    here = deployment(tmp_path, "\n# the end\n" + "x = {\n}\n" * 200, box1="dbappbalancer")
    path = tmp_path / "settings.py"
    before = path.read_text()
    after = changed(before, SPLIT, here.settings)
    assert diff(before, after, "settings.py").splitlines()[3:] == [
        ' DATABASES = {"blog": {"owner": "blog"}}',
        " OPENSTACK_SERVERS = {",
        '-    "dbappbalancer": [("box1", "m1.small")],',
        '+    "appbalancer": [("box1", "m1.small")],',
        '+    "dbserver": [("db1", "m1.small")],',
        " }",
        " ",
    ]
    apply(path, after, SPLIT, here.settings)
    assert written(tmp_path) == {"box1": ("appbalancer", "m1.small"), "db1": ("dbserver", "m1.small")}
    again = load(tmp_path)
    apply(path, changed(path.read_text(), reversed_(SPLIT), again), reversed_(SPLIT), again)
    assert written(tmp_path) == {"box1": ("dbappbalancer", "m1.small")}
    assert "# the end" in path.read_text()
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".new")] == []


@pytest.mark.parametrize(
    ("text", "before", "after", "expected"),
    [
        (
            'OPENSTACK_SERVERS = {"a": [("x", F), ("z", F)], "b": [("y", "m")]}\n',
            {"x": "a"},
            {"x": "b"},
            'OPENSTACK_SERVERS = {"a": [("z", F)], "b": [("y", "m"), ("x", F)]}\n',
        ),
        (
            'OPENSTACK_SERVERS = {\n    # ä\n    "a": [("x", F)],\n    "b": [("y", "m")],  # kept\n}\nQ = 1\n',
            {"x": "a", "y": "b"},
            {"y": "c"},
            'OPENSTACK_SERVERS = {\n    # ä\n    "c": [("y", "m")],  # kept\n}\nQ = 1\n',
        ),
        (
            'OPENSTACK_SERVERS = {\n    "a": [{"name": "x", "flavor": "m"}],\n}\n',
            {"x": "a"},
            {"x": "a", "new1": "b"},
            'OPENSTACK_SERVERS = {\n    "a": [{"name": "x", "flavor": "m"}],\n    "b": [("new1", "m1.small")],\n}\n',
        ),
    ],
    ids=["to another list", "two into a new one", "one added"],
)
def test_entries_go_to_other_types_as_they_are_written(
    tmp_path: Path, text: str, before: dict[str, str], after: dict[str, str], expected: str
) -> None:
    here = deployment(tmp_path, box1="dbappbalancer")
    change = Change("split", before, after, (Newcomer("new1", "box1"),))
    assert changed(text, change, here.settings) == expected


@pytest.mark.parametrize(
    "text",
    [
        "from base import *\n",
        "OPENSTACK_SERVERS = {kind: [] for kind in KINDS}\n",
        "OPENSTACK_SERVERS = {'a': made()}\n",
    ],
)
def test_what_is_not_written_out_is_left_to_the_user(tmp_path: Path, text: str) -> None:
    here = deployment(tmp_path, box1="dbappbalancer")
    with pytest.raises(SettingsError, match="not written out"):
        changed(text, SPLIT, here.settings)
    assert "box1 is an appbalancer" in str(by_hand(tmp_path / "settings.py", SPLIT, "OPENSTACK_SERVERS"))


def test_a_file_that_would_not_say_it_is_not_written(tmp_path: Path) -> None:
    here = deployment(tmp_path, "OPENSTACK_SERVERS.update(lognode=[('log1', 'm')])\n", box1="dbappbalancer")
    path = tmp_path / "settings.py"
    before = path.read_text()
    with pytest.raises(SettingsError, match="by hand"):
        apply(path, before, SPLIT, here.settings)
    assert path.read_text() == before
