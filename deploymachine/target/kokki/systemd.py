"""Names of units go in; their states come out of one `systemctl show`, and actions on them are carried out."""

from __future__ import annotations

from typing import Dict, Sequence

from kokki import process
from kokki.exceptions import Fail

PROPERTIES = "Id,Names,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,CanReload"
UNIT_TYPES = (".service", ".socket", ".timer", ".mount", ".path", ".target", ".slice", ".automount", ".swap")
UP = {"active", "reloading", "activating", "refreshing"}
# What can't be enabled because it is always there, or is so through something else.
ENABLED = {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient", "linked-runtime"}

Unit = Dict[str, str]


def unit_name(service: str) -> str:
    return service if service.endswith(UNIT_TYPES) else f"{service}.service"


def show(units: Sequence[str]) -> Dict[str, Unit]:
    """unit name -> its properties, for all in one process."""
    asked = list(dict.fromkeys(units))
    output = process.check(
        ["systemctl", "show", f"--property={PROPERTIES}", "--", *asked], "systemctl show failed"
    ).output
    blocks = [_properties(block) for block in output.strip().split("\n\n")]
    if len(blocks) != len(asked):
        raise Fail(
            f"systemctl show told of {len(blocks)} units instead of {len(asked)}", output=output.splitlines()[-20:]
        )
    return dict(zip(asked, blocks))  # noqa: B905 - as long as each other, and Python 3.9 has no `strict`


def is_up(unit: Unit) -> bool:
    return unit.get("ActiveState") in UP


def is_enabled(unit: Unit) -> bool:
    return unit.get("UnitFileState") in ENABLED


def act(verb: str, unit: str) -> None:
    """systemctl VERB UNIT. A failure carries the last lines of the unit's journal."""
    completed = process.run(["systemctl", verb, "--", unit])
    if completed.code != 0:
        raise _with_journal(process.failed(completed, f"{unit} could not {verb}"), unit)


def reload_units() -> None:
    process.check(["systemctl", "daemon-reload"], "systemd could not read its units again")


def died(unit: str, state: str) -> Fail:
    return _with_journal(Fail(f"{unit} was started but is {state}", command=f"systemctl start {unit}"), unit)


def _with_journal(error: Fail, unit: str) -> Fail:
    try:
        lines = process.run(["journalctl", "-u", unit, "-n", "15", "--no-pager", "-o", "cat"], timeout=10).lines
    except Fail:
        lines = []
    error.output = [*error.output, *(f"journal: {line}" for line in lines)]
    return error


def _properties(block: str) -> Unit:
    pairs = (line.partition("=") for line in block.splitlines())
    return {key: value for key, equals, value in pairs if equals}
