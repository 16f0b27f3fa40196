"""One server becomes many and some of them one again, while writers sign the book: nobody is told of an error."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

import pytest
from fleet import own_deployment, served_by
from split_world import KEEPERS, OPTIONS, Story, signed

from deploymachine import servertypes

pytestmark = pytest.mark.devcloud
FRONT = "box1"
SETTINGS = f'\nOPENSTACK_SERVERS = {{"dbappbalancer": [("{FRONT}", "m1.small")]}}\n'
LINES = ("openstack_bootem", "root provision", "everything launch")
THREE = {FRONT: "loadbalancer", "appnode1": "appnode"}
ADDED = {"cachenode1": "cachenode", "tasknode1": "tasknode", "lognode1": "lognode"}
UPLOADED = "/srv/sites/guestbook/shared/media/letters/to ada"
UPLOAD = f'runuser -u site-guestbook -- sh -c \'cd / && mkdir -p "$(dirname "$0")" && echo kept > "$0"\' \'{UPLOADED}\''
# What was written before anybody split anything, with letters of all kinds; and all of it in one line.
FILL = """INSERT INTO entries_entry (name, message, created, words, counted_by)
SELECT 'Grüße ' || n, repeat(chr(945 + n % 20) || E'\\n''"\\\\', n), now() - n * interval '1 hour', NULL, ''
FROM generate_series(1, 300) AS n"""
WRITTEN = """
SELECT count(*), md5(string_agg(concat_ws('|', id, name, message, extract(epoch FROM created)), ',' ORDER BY id))
FROM entries_entry WHERE name <> 'writer'"""
# From one server to one of each type, and on through every verb, back to the one, and to many again.
STEPS = {
    "split dbappbalancer": {FRONT: "appbalancer", "dbserver1": "dbserver"},
    "split appbalancer": {**THREE, "dbserver1": "dbserver"},
}
MORE = {
    "split loadbalancer --into loadbalancer,cachenode,tasknode,lognode": {**THREE, **ADDED, "dbserver1": "dbserver"},
    "appnode move --to appnode2": {FRONT: "loadbalancer", "appnode2": "appnode", **ADDED, "dbserver1": "dbserver"},
    "merge loadbalancer appnode": {FRONT: "appbalancer", **ADDED, "dbserver1": "dbserver"},
    "move dbserver --to dbserver2": {FRONT: "appbalancer", **ADDED, "dbserver2": "dbserver"},
    "merge appbalancer dbserver": {FRONT: "dbappbalancer", **ADDED},
    "split dbappbalancer --into loadbalancer,appnode,dbserver": {**THREE, **ADDED, "dbserver1": "dbserver"},
}
VERBS = ("split", "merge", "move")
PAGES = ("appnode", "appbalancer", "dbappbalancer")
SLOW = "DEPLOYMACHINE_SLOW_FLEETS"
slow = pytest.mark.skipif(SLOW not in os.environ, reason=f"takes its time: {SLOW}=1")


@pytest.fixture(scope="module")
def story(devcloud) -> Iterator[Story]:
    """One server with everything, and writers who go on until the last test of this module is done."""
    home = devcloud.state.parent / "splitting"
    with own_deployment(devcloud.directory / "clouds.yaml", home, FRONT, SETTINGS, LINES) as fleet:
        assert fleet.sign("Ada", "before all of it").status == 302
        fleet.sudo(FRONT, UPLOAD)
        with signed(fleet) as told:
            tells(told, FILL)
            yield told


def tells(story: Story, query: str) -> str:
    """What the site's database answers, on the server that leads."""
    ask = f"cd /; runuser -u postgres -- psql -XqAt -d guestbook -c {shlex.quote(query)}"
    return story.fleet.sudo(story.leads(), ask).strip()


@pytest.fixture(scope="module")
def written(story: Story) -> str:
    """What the book held before the first step, but for what the writers sign."""
    return tells(story, WRITTEN)


@pytest.fixture(scope="module")
def seen_types(story: Story) -> set[str]:
    """The types that there were, one after the other or at once."""
    return {*story.kinds().values()}


def test_a_plan_tells_all_and_changes_nothing(story: Story) -> None:
    settings = (story.fleet.directory / "settings.py").read_text()
    told = story.fleet.fab("split", "dbappbalancer", "--plan")
    assert "point of no return" in told
    assert story.kinds() == {FRONT: "dbappbalancer"}
    assert (story.fleet.directory / "settings.py").read_text() == settings


@pytest.mark.parametrize("step", [*STEPS, *(pytest.param(step, marks=slow) for step in MORE)])
def test_servers_become_others_and_nobody_notices(story: Story, written: str, seen_types: set[str], step: str) -> None:
    wanted, words = {**STEPS, **MORE}[step], step.split()
    _, seen = story.does(*words, *OPTIONS)
    print(f"{step}: {seen}")
    story.does(*(word for word in words if word in VERBS), "--finish", "--yes")
    assert story.kinds() == wanted
    seen_types |= {*wanted.values()}
    story.assert_book()
    assert tells(story, WRITTEN) == written
    story.assert_settled()
    page = story.fleet.get()
    assert served_by(page) == next(name for name, kind in wanted.items() if kind in PAGES)


def test_the_book_is_the_same_in_the_end(story: Story) -> None:
    count = "SELECT 'there: ' || count(*) FROM entries_entry WHERE message = 'before all of it'"
    assert "there: 1" in story.fleet.fab(
        *(kind for kind in KEEPERS if kind in story.kinds().values()), "postgresql.psql", "--command", count
    )


@slow
def test_what_was_uploaded_went_along(story: Story) -> None:
    """To the appnode, and back: what the front had of it itself was removed when that split was finished."""
    serves = next(name for name, kind in story.kinds().items() if kind in PAGES)
    told = story.fleet.sudo(serves, f"cat '{UPLOADED}'; stat -c ' %U' '{UPLOADED}'")
    assert told.split() == ["kept", "site-guestbook"]


@slow
def test_every_type_was_among_them(seen_types: set[str]) -> None:
    assert seen_types == {*servertypes.names()} - {"broker"}  # whose own test is test_splitting_tasks.py
