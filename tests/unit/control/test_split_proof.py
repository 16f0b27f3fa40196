"""What two servers say that they hold, compared: the same, or what differs, by name."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from deploymachine.split.proof import DifferentError, compared

NAMES = ("dbserver1", "dbserver2")
SETTINGS = {"server_version_num": "170011", "max_connections": "100", "TimeZone": "UTC"}
HELD: dict[str, Any] = {
    "databases": {
        "guestbook": {
            "tables": {
                "public.entry": {"rows": 12, "sum": "-815", "percent": 100.0},
                "public.visit": {"rows": 9_000_000, "sum": "4711", "percent": 12.5},
            },
            "sequences": {"public.entry_id_seq": [12, 1], "public.countdown": [-7, -1]},
            "large objects": 0,
            "extensions": {"plpgsql": "1.0"},
            "missing": [],
            "unlogged": [],
        },
        "postgres": {
            "tables": {},
            "sequences": {},
            "large objects": 0,
            "extensions": {"plpgsql": "1.0"},
            "missing": [],
            "unlogged": [],
        },
    },
    "server": {
        "roles": "a",
        "role count": 3,
        "members": "b",
        "settings of roles": None,
        "databases": {"guestbook": "UTF8 C.UTF-8 C.UTF-8"},
        "collations": None,
        "settings": SETTINGS,
    },
}


def other() -> dict[str, Any]:
    return copy.deepcopy(HELD)


def differences(new: dict[str, Any]) -> list[str]:
    with pytest.raises(DifferentError) as told:
        compared(HELD, new, NAMES)
    return list(told.value.evidence)


def test_what_is_the_same_is_counted_and_samples_are_named():
    assert compared(HELD, other(), NAMES) == (
        "2 tables in 1 databases: 9000012 rows, every checksum the same",
        "checksums of a sample only: guestbook: public.visit (12.5 % of it)",
        "2 sequences, 2 extensions, 3 roles, settings: the same",
    )


def test_a_row_that_differs_or_a_table_that_is_missing():
    new = other()
    new["databases"]["guestbook"]["tables"]["public.entry"]["sum"] = "0"
    del new["databases"]["guestbook"]["tables"]["public.visit"]
    assert differences(new) == [
        "guestbook: table public.entry: 12 rows, sum -815 here, 12 rows, sum 0 there",
        "guestbook: table public.visit: 9000000 rows, sum 4711 here, no such table there",
    ]


@pytest.mark.parametrize("there", [[45, 1], [12, 1], [0, 1]])
def test_a_sequence_may_be_ahead_and_behind_by_numbers_that_nobody_was_given(there):
    new = other()
    new["databases"]["guestbook"]["sequences"]["public.entry_id_seq"] = there
    assert compared(HELD, new, NAMES)


@pytest.mark.parametrize(
    ("name", "there"),
    [("public.entry_id_seq", [-50, 1]), ("public.countdown", [40, -1]), ("public.countdown", [-7, 1])],
)
def test_a_sequence_that_would_give_numbers_again(name, there):
    new = other()
    new["databases"]["guestbook"]["sequences"][name] = there
    assert len(differences(new)) == 1


def test_a_copy_may_take_more_connections_and_nothing_else_may_differ():
    new = other()
    new["server"]["settings"] = {**SETTINGS, "max_connections": "200"}
    assert compared(HELD, new, NAMES)
    new["server"]["settings"] = {**SETTINGS, "max_connections": "50", "TimeZone": "Europe/Berlin"}
    assert differences(new) == [
        "setting max_connections: 100 here, 50 there",
        "setting TimeZone: UTC here, Europe/Berlin there",
    ]


def test_roles_extensions_collations_and_databases():
    new = other()
    new["server"].update({"roles": "c", "collations": ["guestbook"]})
    new["databases"]["guestbook"]["missing"] = ["postgis"]
    new["databases"]["shop"] = new["databases"]["postgres"]
    assert differences(new) == [
        "guestbook: extension postgis: its program is not installed there, or another version of it",
        "database shop: only one of them has it",
        "roles differ",
        "database guestbook: its text sorts otherwise there, so its indexes would be wrong",
    ]


def test_unlogged_tables_are_told():
    both = other()
    both["databases"]["guestbook"]["unlogged"] = ["public.scratch"]
    assert compared(both, both, NAMES)[-1] == "UNLOGGED, and therefore empty on a copy: guestbook: public.scratch"
