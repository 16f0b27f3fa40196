"""The unmodified `openstack` command prints for devcloud what it printed for a real control plane."""

from __future__ import annotations

import base64
import json
import re
import shlex
from contextlib import closing

import pytest
import recorded_choice
from openstack_command import openstack
from replay import TRANSCRIPTS, Comparison, Names, load
from replay_excuses import PRINTED
from replay_world import USER_DATA, World

# What the command line and the SDK deprecate within themselves.
THEIR_WARNINGS = (
    "DeprecationWarning",
    "PendingDeprecationWarning",
    "FutureWarning",
    "openstack.warnings.OpenStackWarning",
)
pytestmark = [pytest.mark.filterwarnings(f"ignore::{name}") for name in THEIR_WARNINGS]
FILES = sorted(TRANSCRIPTS.glob("*.txt"))


def parsed(text):
    """JSON as it is, a table as its rows by column or as its fields, else the lines."""
    if text.lstrip().startswith(("{", "[")):
        return json.loads(text)
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    if not table:
        return text.splitlines()
    if table[0] == ["Field", "Value"]:
        return dict(table[1:])
    rows = []
    for cells in table[1:]:
        if cells[0]:
            rows.append(dict(zip(table[0], cells, strict=True)))
        else:  # the last one goes on
            more = rows[-1][table[0][-1]]
            rows[-1][table[0][-1]] = [*(more if isinstance(more, list) else [more]), *filter(None, cells)]
    return rows


@pytest.fixture(scope="module")
def differences(service_class, tmp_path_factory):
    """Of each command's output, by scenario; they are one story and run in its order."""
    home = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(home / "clouds.yaml"))
        patch.setenv("OS_CLOUD", "devcloud")
        recorded_choice.put(patch)
        with closing(service_class(home, "10.77.0.0/24", "203.0.113.0/24")) as service:
            names = Names(service.layout.url)
            names.words = {"osbench": "devcloud"}
            World(service, [one for file in FILES for one in load(file.with_suffix(".json"))], names).make()
            return {file.stem: compared(file, names, home / "user-data") for file in FILES}


def compared(file, names, user_data):
    user_data.write_bytes(base64.b64decode(USER_DATA))
    first, _, recorded = file.read_text().partition("\n")
    argv = [names.here(word).replace("/dev/stdin", str(user_data)) for word in shlex.split(first)[2:]]
    comparison = Comparison(names)
    comparison.value(file.stem, parsed(recorded), parsed(openstack(argv)))
    return comparison.found


@pytest.mark.parametrize("scenario", [file.stem for file in FILES])
def test_the_command_line_prints_what_it_did(differences, scenario):
    excuses = PRINTED.get(scenario, {})
    unexcused = [found for found in differences[scenario] if not any(re.search(one, found) for one in excuses)]
    assert not unexcused, "\n".join(unexcused)
    assert all(any(re.search(excuse, found) for found in differences[scenario]) for excuse in excuses)
