"""What two servers say that they hold in, the lines that show it is the same out; a difference is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploymachine.errors import DeployMachineError

Digest = Mapping[str, Any]
SHOWN = 8  # differences
AHEAD = 33
AS_MUCH = "max_connections"  # of which a copy may have more


class DifferentError(DeployMachineError):
    """A copy of the databases is not what it has to be."""


def compared(old: Digest, new: Digest, names: tuple[str, str]) -> tuple[str, ...]:
    """What was the same, a line for each kind. old, new: as target/database/proof.py makes them.

    Raises DifferentError. names: the servers'.
    """
    found = [*_differences(old, new)]
    if found:
        raise DifferentError(
            f"What {names[1]} has is not what {names[0]} has",
            why=f"{len(found)} differences, at the same moment",
            hint="somebody may have written past pgbouncer: try again; if it stays so,\n"
            f"`fab dbserver postgresql.follow --server {names[1]}` makes a fresh copy",
            evidence=found[:SHOWN],
        )
    return _lines(old)


def _differences(old: Digest, new: Digest) -> Iterator[str]:
    for name in sorted({*old["databases"], *new["databases"]}):
        if name not in old["databases"] or name not in new["databases"]:
            yield f"database {name}: only one of them has it"
            continue
        for what in _in_database(old["databases"][name], new["databases"][name]):
            yield f"{name}: {what}"
    yield from _of_server(old["server"], new["server"])


def _in_database(old: Digest, new: Digest) -> Iterator[str]:
    for table in sorted({*old["tables"], *new["tables"]}):
        before, after = old["tables"].get(table), new["tables"].get(table)
        if before != after:
            yield f"table {table}: {_told(before)} here, {_told(after)} there"
    for name, here in old["sequences"].items():
        if _behind(here, there := new["sequences"].get(name)):
            yield f"sequence {name}: {here[0]} here, {there[0] if there else 'not'} there"
    if old["large objects"] != new["large objects"]:
        yield f"large objects: {old['large objects']} here, {new['large objects']} there"
    if old["extensions"] != new["extensions"]:
        yield f"extensions: {old['extensions']} here, {new['extensions']} there"
    for name in sorted({*new["missing"]} - {*old["missing"]}):
        yield f"extension {name}: its program is not installed there, or another version of it"


def _behind(here: list[int | None], there: list[int | None] | None) -> bool:
    """Would the copy give numbers again? A primary's log is ahead of it by up to 32 numbers, which nobody was given."""
    if there is None or here[1] != there[1]:
        return True
    step = here[1] or 1
    return ((here[0] or 0) - (there[0] or 0)) / step > AHEAD


def _of_server(old: Digest, new: Digest) -> Iterator[str]:
    for what in ("roles", "members", "settings of roles", "databases"):
        if old[what] != new[what]:
            yield f"{what} differ"
    for name in sorted({*(new["collations"] or ())} - {*(old["collations"] or ())}):
        yield f"database {name}: its text sorts otherwise there, so its indexes would be wrong"
    for name, value in old["settings"].items():
        other = new["settings"].get(name)
        if other != value and not (name == AS_MUCH and int(other or 0) >= int(value)):
            yield f"setting {name}: {value} here, {other} there"


def _told(table: Digest | None) -> str:
    return "no such table" if table is None else f"{table['rows']} rows, sum {table['sum']}"


def _lines(found: Digest) -> tuple[str, ...]:
    databases = {name: one for name, one in found["databases"].items() if one["tables"]}
    tables = [(f"{name}: {table}", told) for name, one in databases.items() for table, told in one["tables"].items()]
    rows = sum(told["rows"] for _, told in tables)
    sampled = [f"{name} ({told['percent']:g} % of it)" for name, told in tables if told["percent"] < 100]
    sequences = sum(len(one["sequences"]) for one in found["databases"].values())
    extensions = sum(len(one["extensions"]) for one in found["databases"].values())
    unlogged = [f"{name}: {table}" for name, one in databases.items() for table in one["unlogged"]]
    return (
        f"{len(tables)} tables in {len(databases)} databases: {rows} rows, every checksum the same",
        *([f"checksums of a sample only: {', '.join(sampled)}"] if sampled else []),
        f"{sequences} sequences, {extensions} extensions, {found['server']['role count']} roles, settings: the same",
        *([f"UNLOGGED, and therefore empty on a copy: {', '.join(unlogged)}"] if unlogged else []),
    )
