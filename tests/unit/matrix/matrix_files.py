"""The matrix in, every distinct configuration that its recipes render out: a tree of files for one program each."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from kokki import Kitchen, rendered, templates
from matrix_fleets import QUANTITIES, Fleet, Kept, fleets

from deploymachine.cookbooks import OURS
from deploymachine.secrets import on_the_wire
from deploymachine.settings import Settings

POSTGRESQL = "17"
NGINX = (1, 26, 3)


@dataclass(frozen=True)
class Program:
    """name: whose configuration. recipes: that render it; settings: the attributes they read, by their beginning.

    files: the beginnings of the paths that belong to it.
    """

    name: str
    recipes: tuple[str, ...]
    settings: tuple[str, ...]
    files: tuple[str, ...]


PROGRAMS = (
    Program("nft", ("base.firewall",), ("base.firewall_rules", "base.ssh_port"), ("/etc/nftables.conf",)),
    Program("sshd", ("base.sshd",), ("base.ssh_port", "base.deploy_username"), ("/etc/ssh/",)),
    Program("visudo", ("base.sudo",), ("base.deploy_username",), ("/etc/sudoers.d/",)),
    Program("nginx", ("nginx",), ("nginx.",), ("/etc/nginx/nginx.conf", "/etc/nginx/snippets", "/etc/nginx/sites-")),
    Program("postgres", ("postgresql.server", "pgbackrest"), ("postgresql.",), ("/etc/postgresql/",)),
    Program("supervisord", ("supervisor", "django.sites"), ("django.sites",), ("/etc/supervisor/",)),
    Program("supervisord", ("supervisor", "celery"), ("celery.",), ("/etc/supervisor/",)),
)
# What recipes ask of the server they are on: answered as by a Debian 13.
ANSWERS: dict[str, Any] = {
    "nginx.version": lambda: NGINX,
    "nginx.has_ipv6": lambda: True,
    "nginx.stapling": lambda _certificate: "",
    "postgresql.is_retired": lambda: False,
    "postgresql.refuse_to_change_sides": lambda _config, _version: None,
}
Files = dict[str, str]


def distinct(settings: Settings, quantities: Iterable[tuple[int, ...]] = QUANTITIES) -> list[tuple[str, Files]]:
    """(program, path -> text) of every configuration that some server of some fleet has, each once."""
    asked: dict[str, tuple[Program, Mapping[str, Any]]] = {}
    for fleet in fleets(settings, Kept(), quantities):
        for program, told in _told(fleet):
            asked.setdefault(f"{program.recipes} {json.dumps(told, sort_keys=True)}", (program, told))
    found = {}
    with _compiled_once():
        for program, told in asked.values():
            files = _rendered(program, told)
            found[f"{program.name} {json.dumps(files, sort_keys=True)}"] = (program.name, files)
    return list(found.values())


@contextmanager
def _compiled_once() -> Iterator[None]:
    """Templates are kept compiled, as on a server."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        for module in (templates, rendered):
            patch.setattr(module, "state_path", lambda name: f"{place}/{name}")
        yield


def _told(fleet: Fleet) -> Iterator[tuple[Program, dict[str, Any]]]:
    for told in fleet.attributes.values():
        for program in PROGRAMS:
            chosen = {key: value for key, value in told.items() if key.startswith(program.settings)}
            if chosen:
                yield program, on_the_wire(_without_names(chosen))


def _without_names(told: dict[str, Any]) -> dict[str, Any]:
    """Keys and certificates differ from server to server, and stand in files that no program here is asked about."""
    return {key: value for key, value in told.items() if not key.endswith(".identity")}


def _rendered(program: Program, told: Mapping[str, Any]) -> Files:
    from kokki.secrets import reveal

    kitchen = Kitchen()
    kitchen.keeps_state = True
    kitchen.add_cookbook_path(str(OURS))
    kitchen.update_config(
        {"postgresql.version": POSTGRESQL, "base.admin_keys": ["ssh-ed25519 AAAA ada"], **reveal(dict(told))}
    )
    for name, answer in ANSWERS.items():
        book, _, function = name.partition(".")
        if any(recipe.startswith(book) for recipe in program.recipes):
            kitchen.cookbook(book).library[function]  # read, so that what is put in its place stays
            kitchen.cookbook(book)._library[function] = answer
    kitchen.include_recipe(*program.recipes)
    kitchen.declare()
    files = kitchen.resources["File"]
    with kitchen:
        return {
            path: _text(file.content)
            for path, file in files.items()
            if path.startswith(program.files) and "delete" not in file.action and file.content is not None
        }


def _text(content: Any) -> str:
    told = content() if callable(content) else content
    return told.decode() if isinstance(told, bytes) else str.__str__(told)
