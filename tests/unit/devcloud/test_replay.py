"""devcloud answers as a real control plane did: every exchange that the SDK and the command line had with one."""

from __future__ import annotations

import re
from contextlib import closing

import pytest
import recorded_choice
from replay import TRANSCRIPTS, Names, Replay, load
from replay_excuses import EXCUSES
from replay_world import World

SCENARIOS = sorted(TRANSCRIPTS.glob("*.json"))
# Recorded one after another in one cloud: what a scenario made, the next ones find.
STORIES = [[file for file in SCENARIOS if low <= file.stem < high] for low, high in (("01", "13"), ("20", "30"))]
STORIES += [[file] for file in SCENARIOS if "13" <= file.stem < "20"]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory, service_class):
    """What differs in each exchange, by scenario."""
    results = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OS_CLOUD", raising=False)
        patch.setattr("deploymachine.devcloud.compute.PATIENCE", 0.0)
        recorded_choice.put(patch)
        for files in STORIES:
            home = tmp_path_factory.mktemp(files[0].stem)
            with closing(service_class(home, "10.77.0.0/24", "203.0.113.0/24")) as service:
                results |= play(service, files)
    return results


def play(service, files):
    """One after another in a devcloud as the recorded cloud was when the first began."""
    names = Names(service.layout.url)
    exchanges = {file.stem: load(file) for file in files}
    World(service, [exchange for scenario in exchanges.values() for exchange in scenario], names).make()
    return {name: Replay(service, scenario, names).run() for name, scenario in exchanges.items()}


def excused(line):
    return next((excuse for excuse in EXCUSES if re.search(excuse, line)), None)


def lines(results):
    return [f"{title} {found}" for title, differences in results.items() for found in differences]


@pytest.mark.parametrize("scenario", [file.stem for file in SCENARIOS])
def test_devcloud_answers_as_the_real_one_did(replayed, scenario):
    unexcused = [line for line in lines(replayed[scenario]) if not excused(line)]
    assert not unexcused, "\n".join(unexcused)


def test_every_excuse_is_needed(replayed):
    every = [line for results in replayed.values() for line in lines(results)]
    assert [excuse for excuse in EXCUSES if not any(re.search(excuse, line) for line in every)] == []


def test_most_answers_are_the_same_to_the_letter(replayed):
    """The others differ in a field that is excused; `pytest -rP` shows how many there are."""
    differences = [found for results in replayed.values() for found in results.values()]
    same = sum(not found for found in differences)
    print(f"{len(differences)} exchanges: {same} the same, {len(differences) - same} excused")
    assert same / len(differences) > 0.7
