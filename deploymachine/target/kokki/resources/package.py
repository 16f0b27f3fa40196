"""Package: what apt or dnf shall have installed. All that need work go into one transaction, when the first runs."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Optional

from kokki import apt
from kokki.base import BooleanArgument, ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.providers import Provider

__all__ = ["Package"]

# What a package may need to be there before apt can find it; packages declared after it wait for it.
SOURCES = tuple(f"/etc/apt/{name}" for name in ("sources.list", "keyrings", "trusted.gpg", "preferences", "auth.conf"))


class Package(Resource):
    """version: exact, or a pattern such as "16*".  recommends: also what it recommends (`kokki.apt.recommends`).

    together: False keeps it out of the common transaction, for what must not come before an earlier resource.
    """

    action = ForcedListArgument(default="install")
    package_name = ResourceArgument(default=lambda resource: resource.name)
    location = ResourceArgument(default=lambda resource: resource.package_name)
    version = ResourceArgument()
    build_vars = ForcedListArgument(default=lambda _resource: [])
    recommends = BooleanArgument(default=lambda resource: resource.env.config.kokki.apt.recommends)
    together = BooleanArgument(default=True)

    actions: ClassVar[List[str]] = [*Resource.actions, "install", "upgrade", "remove", "purge"]


class PackageProvider(Provider):
    """manager: the module that speaks to the system's package manager."""

    tells_the_future = True
    manager: Any = None

    def action_install(self) -> None:
        now = self._version(self.resource)
        wanted = self.resource.version or now or "latest"
        if now is not None and self.manager.fits(now, str(wanted)):
            wanted = now
        told = _told(self.env).pop(self.resource, None)
        if told is not None:  # came in with the common transaction
            self.changes.append(told)
            self.resource.updated()
            return
        self.converge({"version": now}, {"version": wanted}, lambda _changes: self._install())

    def action_upgrade(self) -> None:
        now = self._version(self.resource)
        name = self.resource.location
        newest = self._newest(name)
        if newest is None and now is None and self.env.dry_run:
            newest = "latest"
        self.converge({"version": now}, {"version": newest or now}, lambda _changes: self._install())

    def action_remove(self) -> None:
        self._remove(purge=False)

    def action_purge(self) -> None:
        self._remove(purge=True)

    def describe(self, key: str, old: Any, new: Any) -> str:
        if key == "configuration":
            return "configuration purged"
        if new is None:
            return f"removed {old}"
        return f"installed {new}" if old is None else f"version {old} -> {new}"

    def _newest(self, name: str) -> Optional[str]:
        if not self.env.dry_run:
            self.manager.freshen(self._max_age)
        newest: Optional[str] = self.manager.candidates([name]).get(name)
        return newest

    @property
    def _max_age(self) -> float:
        return float(self.env.config.kokki.apt.max_age)

    def _version(self, resource: Any) -> Optional[str]:
        return installed_version(resource, self.manager)

    def _install(self) -> None:
        group = [self.resource]
        if self.resource.together:
            others = _others(self.env, self.resource, self.manager)
            group += [other for other in others if other.recommends == self.resource.recommends]
        before = {resource: self._version(resource) for resource in group}
        unknown = set(self.manager.missing([str(resource.location) for resource in group], self._max_age))
        come = [resource for resource in group if resource is self.resource or resource.location not in unknown]
        self.manager.install([self._word(other) for other in come], recommends=bool(self.resource.recommends))
        for resource in group:
            self._tell(resource, before[resource])

    def _tell(self, resource: Any, before: Optional[str]) -> None:
        now = self._version(resource)
        if now is None or now == before:
            return
        text = self.describe("version", before, now)
        if resource is self.resource:
            self.changes[-1] = text
        else:
            _told(self.env)[resource] = text

    def _word(self, resource: Any) -> str:
        """What to tell the package manager: `name`, or name and version in its own spelling."""
        name, version = str(resource.location), resource.version
        if version is None:
            return name
        if any(sign in str(version) for sign in "*?["):
            known = self.manager.candidates([name]).get(name, "")
            if not self.manager.fits(known, str(version)):
                raise Fail(f"{name} would come as {known or 'nothing that is known'}, which is not {version}")
            version = known
        return str(self.manager.word(name, version))

    def _remove(self, *, purge: bool) -> None:
        name = str(self.resource.package_name)
        state = self.manager.installed()
        current = {"version": state.versions.get(name), "configuration": purge and name in state.configured}
        desired: Dict[str, Any] = {"version": None, "configuration": False}
        self.converge(current, desired, lambda _changes: self.manager.remove(name, purge=purge))


class AptProvider(PackageProvider):
    """On Debian and Ubuntu."""

    manager = apt


class DnfProvider(PackageProvider):
    """On Fedora, RHEL and what is made from it."""

    @property
    def manager(self) -> Any:  # imported only where it is the one
        from kokki import dnf

        return dnf


def installed_version(resource: Any, manager: Any = apt) -> Optional[str]:
    """The version that is there; of a name that another package provides: "provided"."""
    name = str(resource.package_name).split(":")[0]
    state = manager.installed()
    version: Optional[str] = state.versions.get(name, "provided" if name in state.provided else None)
    return version


def _others(env: Any, first: Any, manager: Any) -> List[Any]:
    """Packages declared after first that need work and wait for nothing in between."""
    found = []
    declared = env.resource_list
    for resource in declared[declared.index(first) + 1 :]:
        if _changes_sources(resource):
            break
        if _may_come_early(resource) and _needs_work(resource, manager):
            found.append(resource)
    return found


def _may_come_early(resource: Any) -> bool:
    return (
        isinstance(resource, Package)
        and resource.together
        and resource.action == ["install"]
        and resource.not_if is None
        and resource.only_if is None
        and resource.provider is None
        and not any(resource.subscriptions.values())  # a run that ends in between would owe them and not know it
    )


def _needs_work(resource: Any, manager: Any) -> bool:
    now = installed_version(resource, manager)
    return now is None or not manager.fits(now, str(resource.version or "*"))


def _changes_sources(resource: Any) -> bool:
    if type(resource).__name__ == "AptRepository" or str(getattr(resource, "path", "")).startswith(SOURCES):
        return True
    return "apt-" in str(getattr(resource, "command", "")) and resource.action != ["nothing"]


def _told(env: Any) -> Dict[Any, str]:
    """Packages that came in with another's transaction -> what to say of them when their turn comes."""
    told: Dict[Any, str] = vars(env.runner).setdefault("packages_installed", {})
    return told
