"""settings.py and kokki-config.yaml against each other: roles, cookbook paths, recipes, and who serves the sites."""

from __future__ import annotations

from collections.abc import Iterator

from deploymachine import cookbooks, runlist, servertypes
from deploymachine.check.lines import Line, fail, ok, warn
from deploymachine.runlist import KokkiConfig
from deploymachine.settings import Settings


def kinds(settings: Settings) -> list[str]:
    """The types that settings.py names servers of."""
    named = [*settings.OPENSTACK_SERVERS.items(), *settings.SERVERS.items()]
    return sorted({kind for kind, servers in named if servers})


def roles(settings: Settings) -> Iterator[Line]:
    """Each type that has servers has a role, and each recipe of a role is there. Raises SettingsError."""
    config = runlist.load(settings)
    for kind in kinds(settings):
        runlist.code_of(kind, settings)
    missing = list(_missing(config, settings))
    for role, recipe in missing:
        todo = f"mend the name in {settings.KOKKI_CONFIG}, or add the directory that has it to cookbook_paths"
        yield fail("recipes", f"there is no recipe {recipe} (role {role})", todo)
    if not missing:
        yield ok("roles", f"{settings.KOKKI_CONFIG}: {len(config.roles)} roles, all their recipes are there")
    for path in config.cookbook_paths:
        yield ok("cookbooks", str(settings.directory / path))


def _missing(config: KokkiConfig, settings: Settings) -> Iterator[tuple[str, str]]:
    known = cookbooks.found(tuple(settings.directory / path for path in config.cookbook_paths))
    for name, role in config.roles.items():
        for recipe in role.recipes:
            book, _, page = recipe.partition(".")
            if book not in known or not (known[book] / "recipes" / f"{page or 'default'}.py").is_file():
                yield name, recipe


def serving(settings: Settings) -> Iterator[Line]:
    """Whether the types that there are servers of can serve the sites."""
    if not settings.SITES:
        yield warn("sites", "SITES in settings.py names none", "add the site that the servers are for")
        return
    lacking = servertypes.lacking(kinds(settings), settings)
    for part in lacking:
        yield warn("sites", f"no server does the work of a {part}", f"name a {part} in OPENSTACK_SERVERS")
    if not lacking:
        yield ok("sites", f"{', '.join(settings.SITES)}: served by {', '.join(kinds(settings))}")
