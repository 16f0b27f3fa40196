"""What becomes of which servers: the usual ways, those that are asked for, and those that can't be."""

from __future__ import annotations

from pathlib import Path

import pytest
from change_world import deployment

from deploymachine.errors import UsageError
from deploymachine.split.moves import Move, ends, moves
from deploymachine.split.shapes import Change, merge, move, split

BOX = {"box1": "dbappbalancer"}
THREE = {"front1": "loadbalancer", "app1": "appnode", "db1": "dbserver"}


def split_of(directory: Path, into: str = "", more: str = "", names: str = "", **kinds: str) -> Change:
    here = deployment(directory, more, **(kinds or BOX))
    pairs = dict(pair.split("=") for pair in names.split())
    old = next(iter(kinds or BOX))
    return split(here.inventory.named(old), into.split(), pairs, here.inventory, here.settings)


def moved(change: Change, directory: Path, **kinds: str) -> list[tuple[str, str, str]]:
    return [(one.part, one.old, one.new) for one in moves(change, deployment(directory, **kinds))]


def test_a_box_becomes_an_appbalancer_where_it_stands_and_a_new_dbserver(tmp_path: Path) -> None:
    change = split_of(tmp_path)
    assert change.after == {"box1": "appbalancer", "dbserver1": "dbserver"}
    assert (change.joining, change.going, change.retyped) == (("dbserver1",), (), ("box1",))
    assert change.during == {"box1": "dbappbalancer", "dbserver1": "dbserver"}
    assert moved(change, tmp_path, **BOX) == [("database", "box1", "dbserver1")]
    assert ends(change, deployment(tmp_path, **BOX)) == ["cachenode"]


def test_each_kind_of_data_goes_to_whoever_does_its_work_then(tmp_path: Path) -> None:
    change = split_of(tmp_path, "loadbalancer appnode dbserver cachenode", names="dbserver=db9")
    assert change.after == {"box1": "loadbalancer", "appnode1": "appnode", "db9": "dbserver", "cachenode1": "cachenode"}
    assert moved(change, tmp_path, **BOX) == [
        ("cache", "box1", "cachenode1"),
        ("media", "box1", "appnode1"),
        ("database", "box1", "db9"),
    ]


def test_what_is_only_added_moves_nothing(tmp_path: Path) -> None:
    change = split_of(tmp_path, "dbappbalancer lognode")
    assert change.after == {"box1": "dbappbalancer", "lognode1": "lognode"}
    assert moved(change, tmp_path, **BOX) == []


def test_a_broker_of_its_own_takes_the_queues_over(tmp_path: Path) -> None:
    kinds = {"tasks1": "tasknode", **THREE}
    change = split_of(tmp_path, "tasknode broker", **kinds)
    assert change.after == {"tasks1": "tasknode", "broker1": "broker"}
    assert moved(change, tmp_path, **kinds) == [("queues", "tasks1", "broker1")]


def test_a_merge_is_done_by_the_one_that_visitors_come_to(tmp_path: Path) -> None:
    here = deployment(tmp_path, front1="appbalancer", db1="dbserver")
    change = merge([here.inventory.named("db1"), here.inventory.named("front1")], "", here.inventory, here.settings)
    assert change.after == {"front1": "dbappbalancer"}
    assert (change.going, change.joining) == (("db1",), ())
    assert change.during == {"front1": "dbappbalancer", "db1": "dbserver"}
    assert moves(change, here) == [Move("database", "db1", "front1")]


def test_a_move_is_to_a_new_server_of_the_type(tmp_path: Path) -> None:
    here = deployment(tmp_path, **THREE)
    change = move(here.inventory.named("app1"), "app2", "m1.large", "", here.inventory, here.settings)
    assert (change.before, change.after) == ({"app1": "appnode"}, {"app2": "appnode"})
    assert change.newcomers[0].flavor == "m1.large"
    assert moves(change, here) == [Move("media", "app1", "app2")]


@pytest.mark.parametrize(
    ("into", "kinds", "told"),
    [
        ("appbalancer", BOX, "names one type only"),
        ("appnode dbserver", BOX, "visitors come to it"),
        ("loadbalancer appnode", BOX, "Nobody would do the work of dbserver"),
        ("appbalancer dbserver dbserver", BOX, "names a type twice"),
        ("appbalancer dbsever", BOX, "There is no server type 'dbsever'"),
        ("", {"db1": "dbserver", "front1": "appbalancer"}, "Into what is db1 to be split?"),
        ("cachenode appnode", {"db1": "dbserver", "front1": "appbalancer"}, "none of these is a part of that"),
    ],
)
def test_what_can_not_be_split_is_refused_in_one_message(
    tmp_path: Path, into: str, kinds: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError) as error:
        split_of(tmp_path, into, **kinds)
    assert told in str(error.value)


def test_names_that_are_taken_or_of_no_new_server_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is a server box1 already"):
        split_of(tmp_path, names="dbserver=box1")
    with pytest.raises(UsageError, match="--names names an appnode"):
        split_of(tmp_path, names="appnode=app4")


def test_two_fronts_are_not_merged_nor_is_a_front_moved(tmp_path: Path) -> None:
    here = deployment(tmp_path, front1="appbalancer", front2="appbalancer", db1="dbserver")
    with pytest.raises(UsageError, match="both what visitors come to"):
        merge(here.inventory.servers, "", here.inventory, here.settings)
    with pytest.raises(UsageError, match="visitors come to its address"):
        move(here.inventory.named("front1"), "front3", "", "", here.inventory, here.settings)
