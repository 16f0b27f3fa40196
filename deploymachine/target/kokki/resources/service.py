"""Service: whether a systemd unit runs and starts at boot; restarts and reloads when others ask for it."""

from __future__ import annotations

from typing import Any, Callable, ClassVar, Dict, List, Optional, Union

from kokki import process, systemd
from kokki.base import BooleanArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.providers import Changes, Provider, State

__all__ = ["Service"]

Command = Union[str, Callable[[], Any], None]


class Service(Resource):
    """enabled, running: the state to keep it in, whatever the action.

    start_command, …, status_command: shell commands (or callables) where systemctl won't do.
    """

    service_name = ResourceArgument(default=lambda resource: resource.name)
    enabled = ResourceArgument()
    running = ResourceArgument()
    pattern = ResourceArgument()
    start_command = ResourceArgument()
    stop_command = ResourceArgument()
    restart_command = ResourceArgument()
    reload_command = ResourceArgument()
    status_command = ResourceArgument()
    supports_restart = BooleanArgument(default=lambda resource: bool(resource.restart_command))
    supports_reload = BooleanArgument(default=lambda resource: bool(resource.reload_command))
    supports_status = BooleanArgument(default=lambda resource: bool(resource.status_command))

    actions: ClassVar[List[str]] = ["nothing", "start", "stop", "restart", "reload", "enable", "disable"]


class ServiceProvider(Provider):
    """start, stop and what `running` and `enabled` ask for change only what differs; restart and reload always act."""

    tells_the_future = True

    def action_nothing(self) -> None:
        self._settle(self.resource.running, self.resource.enabled)

    def action_start(self) -> None:
        self._settle(True, self.resource.enabled)

    def action_stop(self) -> None:
        self._settle(False, self.resource.enabled)

    def action_enable(self) -> None:
        self._settle(None, True)

    def action_disable(self) -> None:
        self._settle(None, False)

    def action_restart(self) -> None:
        self._again("restart")

    def action_reload(self) -> None:
        self._again("reload")

    def describe(self, key: str, _old: Any, new: Any) -> str:
        words = {"running": ("stopped", "started"), "enabled": ("disabled", "enabled"), "unit": ("", "unit read again")}
        return words[key][bool(new)] if key in words else f"{new}ed"

    def _settle(self, running: Optional[bool], enabled: Optional[bool]) -> None:
        wanted = {"running": running, "enabled": enabled}
        desired: State = {key: bool(value) for key, value in wanted.items() if value is not None}
        if not desired:
            return
        current = self._current()
        if current.get("unit") is False:
            desired["unit"] = True
        if desired.get("running") and not current["running"]:
            self._note_start()
        self.converge(current, desired, self._apply)

    def _again(self, verb: str) -> None:
        running = self._current()["running"]
        action = verb if running else "start"
        if verb == "restart" or not running:
            self._note_start()
        self.converge({}, {"action": action}, lambda _changes: self._act(action))

    def _apply(self, changes: Changes) -> None:
        self._read_units()
        if "enabled" in changes:
            unmask = self._unit().get("UnitFileState", "").startswith("masked")
            for verb in ["unmask"] * unmask + ["enable" if changes["enabled"][1] else "disable"]:
                self._systemctl(verb)
            self.resource.updated()
        if "running" in changes:
            self._act("start" if changes["running"][1] else "stop")

    def _act(self, verb: str) -> None:
        command = getattr(self.resource, f"{verb}_command")
        if command is not None:
            self._by_command(verb, command)
            return
        self._read_units()
        unit = self._unit()
        if verb == "reload" and unit.get("CanReload") == "no":
            verb = "restart"
        self._systemctl(verb)
        if verb in ("start", "restart") and self._unit().get("ActiveState") == "failed":
            raise systemd.died(self._name, "failed")

    def _systemctl(self, verb: str) -> None:
        systemd.act(verb, self._name)
        _known(self.env).clear()

    def _by_command(self, verb: str, command: Command) -> None:
        if callable(command):
            if not command():
                raise Fail(f"{self.resource}: its {verb} command failed")
            return
        process.check(["/bin/sh", "-c", str(command)], f"{self.resource} could not {verb}")

    def _current(self) -> State:
        command = self.resource.status_command
        if command is not None:
            running = bool(command()) if callable(command) else process.condition(str(command))
            return {"running": running, "enabled": None if self.resource.enabled is None else self._is_enabled()}
        return {"running": self.status(), "enabled": self._is_enabled(), "unit": not self._is_stale()}

    def status(self) -> bool:
        return systemd.is_up(self._unit())

    def _is_enabled(self) -> bool:
        return systemd.is_enabled(self._unit())

    def _is_stale(self) -> bool:
        return self._unit().get("NeedDaemonReload") == "yes"

    def _read_units(self) -> None:
        if self.resource.status_command is None and self._is_stale():
            systemd.reload_units()
            _known(self.env).clear()

    @property
    def _name(self) -> str:
        return systemd.unit_name(str(self.resource.service_name))

    def _unit(self) -> systemd.Unit:
        """As of the last change in this run: all services are asked for at once."""
        known = _known(self.env)
        if known.get("as of") != self.env.runner.changes or self._name not in known["units"]:
            names = [systemd.unit_name(str(other.service_name)) for other in _services(self.env)]
            known.update({"as of": self.env.runner.changes, "units": systemd.show([self._name, *names])})
        unit: systemd.Unit = known["units"][self._name]
        return unit

    def _note_start(self) -> None:
        self.env.runner.started[self.resource] = self.env.runner.changes


def _services(env: Any) -> Any:
    return [service for service in env.resources.get("Service", {}).values() if service.status_command is None]


def _known(env: Any) -> Dict[str, Any]:
    known: Dict[str, Any] = vars(env.runner).setdefault("units_known", {})
    return known
