"""devcloud answers as a real control plane did: every exchange that the SDK and the command line had with one."""

from __future__ import annotations

import re

import pytest
import recorded_choice
from replay import TRANSCRIPTS, Replay
from replay_excuses import EXCUSES
from replay_world import World

SCENARIOS = sorted(TRANSCRIPTS.glob("*.json"))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory, service_class):
    """What differs in each exchange, by scenario."""
    results = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OS_CLOUD", raising=False)
        patch.setattr("deploymachine.devcloud.compute.PATIENCE", 0.0)
        recorded_choice.put(patch)
        for file in SCENARIOS:
            service = service_class(tmp_path_factory.mktemp(file.stem), "10.77.0.0/24", "203.0.113.0/24")
            try:
                replay = Replay(service, file)
                World(service, replay.exchanges, replay.names).make()
                replay.settle()
                results[file.stem] = replay.run()
            finally:
                service.stop()
    return results


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


def test_most_answers_are_the_same_to_the_letter(replayed, record_property):
    differences = [found for results in replayed.values() for found in results.values()]
    same = sum(not found for found in differences)
    record_property("replayed", f"{len(differences)} exchanges, {same} the same, {len(differences) - same} excused")
    assert same / len(differences) > 0.7
