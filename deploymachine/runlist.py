"""kokki-config.yaml and the server types in, the run list of one server out: recipes and attributes."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from deploymachine import servertypes
from deploymachine.errors import SettingsError
from deploymachine.inventory import Server
from deploymachine.secrets import on_the_wire
from deploymachine.servertypes import Deployment
from deploymachine.settings import Settings

Recipe = Annotated[str, StringConstraints(pattern=r"^\w+(\.\w+)?$")]


class Role(BaseModel):
    """One role of kokki-config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    description: str = ""
    parents: tuple[str, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    default_attributes: dict[str, Any] = {}
    override_attributes: dict[str, Any] = {}


class KokkiConfig(BaseModel):
    """kokki-config.yaml: where cookbooks are and what each role cooks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    cookbook_paths: tuple[str, ...] = ()
    roles: dict[str, Role]


@dataclass(frozen=True)
class RunList:
    """What one server cooks. attributes: dotted name -> value; cookbook_paths: the team's own, on the controller.

    whole: all the recipes of its type; a cook of fewer leaves what is known of the last whole one as it is.
    """

    host: str
    roles: tuple[str, ...]
    recipes: tuple[str, ...]
    attributes: Mapping[str, Any] = field(repr=False)
    cookbook_paths: tuple[Path, ...] = ()
    whole: tuple[str, ...] = ()

    def request(self, *, dry_run: bool = False) -> dict[str, Any]:
        """The JSON that asks the engine on the server to cook this."""
        mark = {"fingerprint": self.fingerprint} if self.recipes == self.whole else {}
        return {**self._asked(), **mark, "dry_run": dry_run}

    @property
    def fingerprint(self) -> str:
        """A hash of all that is asked for; by it one sees later whether the last cook asked for anything else."""
        return hashlib.sha256(json.dumps(self._asked(), sort_keys=True).encode()).hexdigest()

    def _asked(self) -> dict[str, Any]:
        own = [f"user_cookbooks/{number}" for number in range(len(self.cookbook_paths))]
        return {
            "command": "cook",
            "host": self.host,
            "roles": list(self.roles),
            "recipes": list(self.recipes),
            "attributes": on_the_wire(dict(self.attributes)),
            "cookbook_paths": [*own, "cookbooks"],
        }


def run_lists(servers: Iterable[Server], deployment: Deployment) -> dict[str, RunList]:
    """Server name -> its run list. Raises SettingsError or UsageError before anything was touched."""
    config = load(deployment.settings)
    return {server.name: _run_list(server, deployment, config) for server in servers}


def recipes_of(kind: str, settings: Settings) -> tuple[str, ...]:
    """What servers of a type cook, in that order. Raises SettingsError."""
    config = load(settings)
    lineage = dict.fromkeys(_lineage(kind, config, settings))
    return tuple(dict.fromkeys(recipe for name in lineage for recipe in config.roles[name].recipes))


def only(role: str, wanted: RunList, settings: Settings) -> RunList:
    """What that role adds to a run list, and no other role of it; all of it, where there is no such role in it."""
    roles = load(settings).roles
    others = {recipe for name in wanted.roles if name != role for recipe in roles[name].recipes}
    own = tuple(recipe for recipe in roles[role].recipes if recipe not in others) if role in wanted.roles else ()
    return replace(wanted, recipes=own or wanted.recipes)


def code_of(kind: str, settings: Settings) -> str:
    """A hash of everything that is run on servers of a type: recipes in their order, and the bundle that has them.

    Raises SettingsError.
    """
    from deploymachine.bundle import bundle

    config = load(settings)
    told = [kind, *recipes_of(kind, settings), bundle(cookbook_paths(config, settings)).hash]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _run_list(server: Server, deployment: Deployment, config: KokkiConfig) -> RunList:
    """The run list of `server`: its role with parents first; what a child says wins, overrides win over all."""
    lineage = list(dict.fromkeys(_lineage(server.type, config, deployment.settings)))
    roles = [config.roles[name] for name in lineage]
    defaults = _merged(role.default_attributes for role in roles)
    overrides = _merged(role.override_attributes for role in roles)
    recipes = tuple(dict.fromkeys(recipe for role in roles for recipe in role.recipes))
    return RunList(
        host=server.name,
        roles=tuple(lineage),
        recipes=recipes,
        whole=recipes,
        attributes={**defaults, **servertypes.attributes(server, deployment), **overrides},
        cookbook_paths=cookbook_paths(config, deployment.settings),
    )


def _merged(layers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for layer in layers for name, value in layer.items()}


def load(settings: Settings) -> KokkiConfig:
    """Read and check the roles' file. Raises SettingsError that names file, key and reason."""
    path = settings.directory / settings.KOKKI_CONFIG
    try:
        return KokkiConfig.model_validate(_rendered(_yaml(path), settings, path))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in detail["loc"])
        raise SettingsError(f"{path.name}: {key}: {detail['msg'].lower()}", where=str(path)) from None


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"There is no {path.name} here",
            where=str(path.parent),
            hint="copy kokki-config.yaml.dist beside settings.py",
        ) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path.name} is not valid YAML", where=str(path), why=str(error)) from None


def _rendered(value: Any, settings: Settings, path: Path) -> Any:
    """The same tree with every `{{ settings.NAME }}` replaced by the value it names, its type kept."""
    if isinstance(value, dict):
        return {key: _rendered(item, settings, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item, settings, path) for item in value]
    return _template(value, settings, path) if isinstance(value, str) and "{{" in value else value


def _template(text: str, settings: Settings, path: Path) -> Any:
    from jinja2 import StrictUndefined, TemplateError, Undefined
    from jinja2.nativetypes import NativeEnvironment

    try:
        template = NativeEnvironment(undefined=StrictUndefined).from_string(text)
        value = template.render(settings=settings)
        return str(value) if isinstance(value, Undefined) else value  # an undefined value raises when it is used
    except TemplateError as error:
        raise SettingsError(f"{path.name}: {text!r} can't be filled in", where=str(path), why=str(error)) from None


def _lineage(name: str, config: KokkiConfig, settings: Settings, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The role's parents, theirs first, then the role itself. A role reached twice comes twice."""
    path = settings.directory / settings.KOKKI_CONFIG
    if name in above:
        raise SettingsError(
            f"{path.name}: the role {name} is its own parent", where=str(path), why=" -> ".join([*above, name])
        )
    if name not in config.roles:
        close = difflib.get_close_matches(name, config.roles, n=1)
        raise SettingsError(
            f"{path.name} has no role {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            where=f"{path}, " + (f"parents of {above[-1]}" if above else "roles"),
            hint="kokki-config.yaml.dist has a role for every server type",
        )
    for parent in config.roles[name].parents:
        yield from _lineage(parent, config, settings, (*above, name))
    yield name


def cookbook_paths(config: KokkiConfig, settings: Settings) -> tuple[Path, ...]:
    """The folders with cookbooks of the team's own. Raises SettingsError."""
    paths = tuple(settings.directory / Path(path).expanduser() for path in config.cookbook_paths)
    for path in paths:
        if not path.is_dir():
            raise SettingsError(f"{settings.KOKKI_CONFIG}: cookbook_paths: no such directory", where=str(path))
    return paths
