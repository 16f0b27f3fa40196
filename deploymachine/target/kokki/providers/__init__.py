"""A resource goes in, the Provider that brings the server to the resource's state comes out."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from kokki.exceptions import Fail, suggest

__all__ = ["Provider", "find_provider"]

State = Dict[str, Any]
Changes = Dict[str, Tuple[Any, Any]]

_PROVIDERS = {
    "File": "kokki.resources.files.FileProvider",
    "Directory": "kokki.resources.files.DirectoryProvider",
    "Link": "kokki.resources.files.LinkProvider",
    "Execute": "kokki.resources.execute.ExecuteProvider",
    "Script": "kokki.resources.execute.ScriptProvider",
    "Package": "kokki.resources.package.AptProvider",
    "Service": "kokki.resources.service.ServiceProvider",
    "User": "kokki.resources.accounts.UserProvider",
    "Group": "kokki.resources.accounts.GroupProvider",
    "Mount": "kokki.resources.mount.MountProvider",
    "SystemdUnit": "kokki.resources.unit.SystemdUnitProvider",
    "Sysctl": "kokki.resources.sysctl.SysctlProvider",
    "Line": "kokki.resources.line.LineProvider",
    "Cron": "kokki.resources.cron.CronProvider",
    "Git": "kokki.resources.git.GitProvider",
    "AptRepository": "kokki.resources.repository.AptRepositoryProvider",
}
_ON_REDHAT = {"Package": "kokki.resources.package.DnfProvider"}


class Provider:
    """Brings one resource to its state. `action_NAME` methods state current and desired and call `converge`.

    A cookbook's own provider may just act and call `self.resource.updated()`; a dry run then can't know what it
    would do, and says so.
    """

    tells_the_future = False  # whether its actions are safe to call in a dry run: they change things in converge only

    def __init__(self, resource: Any) -> None:
        self.resource = resource
        self.env = resource.env
        self.changes: List[str] = []
        self.diff = ""
        self.unknown = ""

    @property
    def log(self) -> Any:
        import logging

        return logging.getLogger("kokki.provider")

    def action_nothing(self) -> None:
        pass

    def converge(
        self,
        current: State,
        desired: State,
        apply: Callable[[Changes], None],
        *,
        stage: Optional[Callable[[Changes], None]] = None,
        diff: Optional[Callable[[], str]] = None,
    ) -> None:
        """Make what differs between current and desired right by calling apply with {key: (old, new)}.

        stage: all that may fail before the server is touched (write and check a temporary file).
        diff: the unified diff of the contents, asked for only when something differs.
        """
        changes = {key: (current.get(key), new) for key, new in desired.items() if current.get(key) != new}
        if not changes:
            return
        self.changes += [text for key, (old, new) in changes.items() for text in [self.describe(key, old, new)] if text]
        self.diff += diff() if diff is not None else ""
        if self.env.dry_run:
            return
        if stage is not None:
            stage(changes)
        with self.env.announced(self.resource):
            apply(changes)
        self.resource.updated()

    def describe(self, key: str, old: Any, new: Any) -> str:
        """One change in words; '' when another change says it already."""
        return f"{key} {new}" if old is None else f"{key} {old} -> {new}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{self.resource}]"


def find_provider(env: Any, resource_type: str, class_path: Any = None) -> Any:
    """The provider class: given itself, as "*cookbook.Class", as a dotted path, or the default of the type."""
    path = class_path or _PROVIDERS.get(resource_type)
    if not class_path and resource_type in _ON_REDHAT and env.system.family == "redhat":
        path = _ON_REDHAT[resource_type]
    if isinstance(path, type):
        return path
    if not path:
        raise Fail(f"There is no provider for {resource_type}{suggest(resource_type, _PROVIDERS)}")
    module_name, _, name = path.lstrip("*").rpartition(".")
    if path.startswith("*"):
        return getattr(env.cookbook(module_name), name)
    try:
        module = __import__(module_name, {}, {}, [name])
        return getattr(module, name)
    except (ImportError, AttributeError, ValueError):
        raise Fail(f"Unable to find provider for {resource_type} as {path}") from None
