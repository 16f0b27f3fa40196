"""Django's settings in, as JSON out what the database lacks, and what of it the code of before can't live with.

It is run by the site's own Python, as a text: nothing of ours is there.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any, Dict, Iterator, List, Optional

HARMLESS = {
    "CreateModel",
    "AddIndex",
    "RemoveIndex",
    "RenameIndex",
    "RemoveConstraint",
    "AlterModelOptions",
    "AlterModelManagers",
    "AlterModelTableComment",
    "AddIndexConcurrently",
    "RemoveIndexConcurrently",
    "AddField",
    "AlterField",
    "AlterIndexTogether",
}


def look() -> Dict[str, List[str]]:
    """pending: names; breaks: what the code of before can't live with; unknown: what nobody can tell from outside."""
    import_module("django").setup()
    connection = import_module("django.db").connection
    executor = import_module("django.db.migrations.executor").MigrationExecutor(connection)
    graph, applied = executor.loader.graph, executor.loader.applied_migrations
    pending = [migration for migration, _ in executor.migration_plan(graph.leaf_nodes())]
    found: Dict[str, List[str]] = {"pending": [f"{one.app_label}.{one.name}" for one in pending]}
    found.update(breaks=[], unknown=[])
    if pending and applied:  # into an empty database no code has written yet
        state = executor.loader.project_state([node for node in applied if node in graph.nodes])
        for migration in pending:
            _judge_migration(migration, state, found)
    return found


def _judge_migration(migration: Any, state: Any, found: Dict[str, List[str]]) -> None:
    name = f"{migration.app_label}.{migration.name}"
    for operation in migration.operations:
        for inner in _flat(operation):
            kind = type(inner).__name__
            told = broken(inner, state, migration.app_label)
            if told is not None:
                found["breaks"].append(f"{name} {told}")
            elif kind not in HARMLESS and not kind.endswith("Extension"):
                found["unknown"].append(f"{name} does {kind}")
        operation.state_forwards(migration.app_label, state)


def _flat(operation: Any) -> Iterator[Any]:
    if type(operation).__name__ == "SeparateDatabaseAndState":
        for inner in operation.database_operations:
            yield from _flat(inner)
    else:
        yield operation


def broken(operation: Any, state: Any, app: str) -> Optional[str]:
    """Why code that does not know of the operation fails after it; None where it does not."""
    kind = type(operation).__name__
    model = getattr(operation, "model_name", getattr(operation, "name", ""))
    if kind == "DeleteModel":
        return f"removes {operation.name}"
    if kind == "RenameModel":
        return f"renames {operation.old_name} to {operation.new_name}"
    if kind == "AlterModelTable":
        return f"renames the table of {operation.name}"
    if kind == "RemoveField":
        return f"removes {model}.{operation.name}"
    if kind == "RenameField":
        return f"renames {model}.{operation.old_name} to {operation.new_name}"
    if kind in ("AddConstraint", "AlterUniqueTogether"):
        return f"constrains what may be written into {model}"
    if kind == "AddField" and _must_be_given(operation.field):
        return f"adds {model}.{operation.name}, which the database has no default for"
    if kind == "AlterField":
        return _altered(operation, state.models[app, model.lower()].fields[operation.name])
    return None


def _must_be_given(field: Any) -> bool:
    default = getattr(field, "db_default", None)  # Django 5 and newer; else a class of this name
    in_database = default is not None and getattr(default, "__name__", "") != "NOT_PROVIDED"
    return not (field.null or field.many_to_many or in_database or getattr(field, "generated", False))


def _altered(operation: Any, before: Any) -> Optional[str]:
    after, name = operation.field, f"{operation.model_name}.{operation.name}"
    if before.null and not after.null:
        return f"forbids {name} to be NULL"
    if after.unique and not before.unique:
        return f"wants {name} unique"
    if before.db_column != after.db_column:
        return f"renames the column of {name}"
    if before.get_internal_type() != after.get_internal_type():
        return f"makes {name} a {after.get_internal_type()}"
    if before.max_length is not None and after.max_length is not None and after.max_length < before.max_length:
        return f"shortens {name} to {after.max_length}"
    return None


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    sys.stdout.write(sys.argv[1] + json.dumps(look()) + "\n")
