"""`kokki -f kitchen.py ROLE…`: functions of a kitchen file include recipes; they are run here, or shown."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any, Dict, List, Optional

from kokki import runner
from kokki.environment import Kitchen
from kokki.exceptions import Fail, suggest
from kokki.secrets import redact

MARKS = {"changed": "+", "would-change": "~", "failed": "!", "unknown": "?", "skipped": "-", "ok": " "}
SHOWN_ALWAYS = {"changed", "would-change", "failed", "unknown"}


def main(words: Optional[List[str]] = None) -> int:
    """Run the command line. Gives 0: fine, 2: a dry run that found changes, 1: an error."""
    options = _parser().parse_args(words)
    printer = Printer(options.verbose)
    if not options.dump:
        return runner.bring_about(lambda kitchen: _fill(kitchen, options), printer, {"dry_run": options.dry_run})
    kitchen = Kitchen()
    try:
        _fill(kitchen, options)
        kitchen.declare()
        _write(options.dump, describe(kitchen))
    except Exception as error:  # the user is told what is wrong, never shown a traceback
        from kokki.explain import failure

        printer(redact(failure(error)))
        return runner.ERROR
    return runner.OK


def describe(kitchen: Kitchen) -> Dict[str, Any]:
    """What a kitchen would run, as plain data, without its secrets."""
    described: Dict[str, Any] = redact(
        {
            "config": _plain(kitchen.config),
            "cookbook_paths": kitchen.cookbook_paths,
            "included_recipes": kitchen.included_recipes_order,
            "resources": [_resource(resource) for resource in kitchen.resource_list],
        }
    )
    return described


class Printer:
    """Events in, a line for each change on stdout; -v: for each resource."""

    def __init__(self, verbose: bool) -> None:
        self.verbose = verbose

    def __call__(self, event: Dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "resource-done" and (self.verbose or event["state"] in SHOWN_ALWAYS):
            self._resource(event)
        elif kind == "failure":
            self._failure(event)
        elif kind == "run-done":
            totals = ", ".join(f"{number} {state}" for state, number in event["totals"].items() if number)
            print(f"{event['state']}: {totals or 'nothing to do'} in {event['ms'] / 1000:.2f} s")

    def _resource(self, event: Dict[str, Any]) -> None:
        print(f"{MARKS[event['state']]} {event['type']}[{event['name']}] {'; '.join(event['changes'])}".rstrip())
        for line in event["diff"].splitlines():
            print(f"    {line}")
        error = event.get("error", {})
        for line in [error.get("message", ""), *error.get("output", [])]:
            print(f"    {line}") if line else None

    def _failure(self, event: Dict[str, Any]) -> None:
        print(f"error: {event['what']}", file=sys.stderr)
        for label, key in (("where", "where"), ("line", "source_line"), ("why", "why"), ("do", "hint")):
            if event[key]:
                print(f"  {label:<6} {event[key]}", file=sys.stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser("kokki", description="Bring this machine to what roles of a kitchen file declare.")
    parser.add_argument("roles", nargs="+", metavar="ROLE", help="a function of the kitchen file")
    parser.add_argument("-f", "--file", default="kitchen.py", help="the kitchen file, or a folder of them")
    parser.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="a setting: a.b=1")
    parser.add_argument("-d", "--dump", metavar="json:-", help="show what would be run: json or yaml, to a file or -")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would change, change nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what is right already, too")
    return parser


def _fill(kitchen: Kitchen, options: Namespace) -> None:
    """Let the roles' functions do with the kitchen what they do; settings of the command line win."""
    names = _load(options.file)
    for role in options.roles:
        if not callable(names.get(role)):
            known = [name for name in names if not name.startswith("_")]
            raise Fail(f"{options.file} has no role {role}{suggest(role, known)}")
        names[role](kitchen)
    kitchen.update_config(dict(_setting(option) for option in options.option))


def _load(path: str) -> Dict[str, Any]:
    folder = os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".py"))
    names: Dict[str, Any] = {"__name__": "kitchen"}
    for name in files if os.path.isdir(path) else [path]:
        try:
            with open(name, "rb") as stream:
                code = compile(stream.read(), name, "exec")
        except FileNotFoundError:
            raise Fail(f"There is no kitchen file {name}", hint="name one with -f") from None
        names["__file__"] = os.path.abspath(name)
        exec(code, names)  # noqa: S102 - the user's own program
    return names


def _setting(option: str) -> Any:
    """`a.b=1`: the value as JSON if it is that, else as text."""
    import json

    key, equals, text = option.partition("=")
    if not equals:
        raise Fail(f"-o {option}: write KEY=VALUE")
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _write(target: str, description: Dict[str, Any]) -> None:
    import json

    kind, _, path = target.partition(":")
    if kind not in ("json", "yaml"):
        raise Fail(f"-d {target}: write json:- or yaml:-")
    text = json.dumps(description, indent=2, default=str) + "\n"  # which is YAML, too
    if path in ("", "-"):
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def _resource(resource: Any) -> Dict[str, Any]:
    return {
        "type": type(resource).__name__,
        "name": resource.name,
        "action": resource.action,
        "arguments": _plain({k: v for k, v in resource.arguments.items() if k not in ("notifies", "subscribes")}),
        "source": resource.source,
        "subscriptions": {
            when: sorted([action, str(target)] for action, target in pairs)
            for when, pairs in resource.subscriptions.items()
        },
    }


def _plain(value: Any) -> Any:
    """The value as JSON can say it; what it can't is told by its name."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return getattr(value, "name", None) or getattr(value, "url", None) or str(value)
