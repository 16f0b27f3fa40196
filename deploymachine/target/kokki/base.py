"""A declaration in a recipe goes in, a Resource with checked arguments and subscriptions comes out."""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Optional, Set, Tuple

from kokki.exceptions import Fail, InvalidArgument, suggest

__all__ = [
    "BooleanArgument",
    "Fail",
    "ForcedListArgument",
    "InvalidArgument",
    "ModeArgument",
    "Resource",
    "ResourceArgument",
]


class ResourceArgument:
    """One argument of a resource: read as an attribute, its default may be a callable of the resource."""

    def __init__(self, default: Any = None, required: bool = False, allow_override: bool = False) -> None:
        self.name = ""
        self.required = False  # a default of None is no missing argument
        self.default = default if callable(default) else self.validate(default)
        self.required = required
        self.allow_override = allow_override

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, resource: Any, owner: Optional[type] = None) -> Any:
        if resource is None:
            return self
        try:
            return resource.arguments[self.name]
        except KeyError:
            return self.default(resource) if callable(self.default) else self.default

    def __set__(self, resource: Any, value: Any) -> None:
        resource.arguments[self.name] = self.validate(value)

    def validate(self, value: Any) -> Any:
        if self.required and value is None:
            raise InvalidArgument(f"Required argument {self.name} missing")
        return value


class ForcedListArgument(ResourceArgument):
    """A list; a single value is a list of one."""

    def validate(self, value: Any) -> Any:
        value = super().validate(value)
        return [value] if isinstance(value, (str, int)) else value


class BooleanArgument(ResourceArgument):
    def validate(self, value: Any) -> Any:
        value = super().validate(value)
        if value not in (True, False):
            raise InvalidArgument(f"Expected a boolean for {self.name}, received {value!r}")
        return value


class ModeArgument(ResourceArgument):
    """File permissions: 0o644, or the text "0644"."""

    # 644 without the 0o is 0o1204: never meant, and dangerous.
    FORGOTTEN_PREFIX = frozenset({600, 640, 644, 660, 664, 700, 750, 755, 770, 775, 777})

    def validate(self, value: Any) -> Any:
        value = super().validate(value)
        if value is None:
            return None
        try:
            number = int(value, 8) if isinstance(value, str) else int(value)
        except (TypeError, ValueError):
            raise InvalidArgument(f"{self.name} {value!r} is no file mode; write 0o644 or '0644'") from None
        if number in self.FORGOTTEN_PREFIX and not isinstance(value, str):
            raise InvalidArgument(f"{self.name} {value} is decimal; write 0o{value} or '0{value}'")
        if not 0 <= number <= 0o7777:
            raise InvalidArgument(f"{self.name} {value!r} is no file mode")
        return number


class Resource:
    """Something a server shall have. Declaring the same type and name again gives the first one back."""

    action = ForcedListArgument(default="nothing")
    ignore_failures = BooleanArgument(default=False)
    not_if = ResourceArgument()
    only_if = ResourceArgument()
    notifies = ResourceArgument(default=lambda _resource: [])
    subscribes = ResourceArgument(default=lambda _resource: [])

    actions: ClassVar[List[str]] = ["nothing"]
    provider: Any = None
    # What of the file at `path` is its own: two that claim the same "whole" are a mistake. "part": a line of it.
    claims_path: ClassVar[str] = ""
    _arguments: ClassVar[Dict[str, ResourceArgument]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._arguments = {}
        for base in reversed(cls.__mro__):
            cls._arguments.update({k: v for k, v in vars(base).items() if isinstance(v, ResourceArgument)})

    def __new__(cls, name: str, env: Any = None, **_arguments: Any) -> Any:
        env = env or _current_environment()
        known = env.resources.setdefault(cls.__name__, {})
        if name in known:
            return known[name]
        resource = super().__new__(cls)
        known[name] = resource
        env.resource_list.append(resource)
        return resource

    def __init__(self, name: str, env: Any = None, provider: Any = None, **arguments: Any) -> None:
        if hasattr(self, "arguments"):
            self._declared_again(provider, arguments)
            return
        self.name = name
        self.env = env or _current_environment()
        self.provider = provider or type(self).provider
        self.arguments: Dict[str, Any] = {}
        self.is_updated = False
        self.subscriptions: Dict[str, Set[Tuple[str, Resource]]] = {"immediate": set(), "delayed": set()}
        self.source = self.env.calling_line()
        try:
            self._fill(arguments)
        except BaseException:
            self.env.withdraw(self)
            raise

    def _fill(self, arguments: Dict[str, Any]) -> None:
        for key, value in arguments.items():
            self.arguments[key] = self._checked(key, value)
        for key, argument in self._arguments.items():
            if argument.required and self.arguments.get(key) is None:
                raise InvalidArgument(f"{self}: required argument {key} missing")
        for action in self.action:
            self._check_action(action)
        for subscription in self.subscribes:
            action, resource, *immediate = subscription
            resource.subscribe(action, self, *immediate)
        for subscription in self.notifies:
            self.subscribe(*subscription)
        self._validate()
        self.env.claim(self)

    def _checked(self, key: str, value: Any) -> Any:
        argument = self._arguments.get(key)
        if argument is None:
            raise Fail(f"{self} received unsupported argument {key}={value!r}{suggest(key, self._arguments)}")
        try:
            return argument.validate(value)
        except InvalidArgument as error:
            raise InvalidArgument(f"{self}: {error}") from None

    def _check_action(self, action: str) -> None:
        # A resource class of a cookbook that never says which actions there are leaves it to its provider.
        if type(self).actions is not Resource.actions and action not in {"nothing", *self.actions}:
            raise InvalidArgument(
                f"{self}: action {action!r} is none of {', '.join(self.actions)}{suggest(action, self.actions)}"
            )

    def _declared_again(self, provider: Any, arguments: Dict[str, Any]) -> None:
        provider = provider or type(self).provider
        if provider != self.provider:
            raise Fail(
                f"{self} is declared twice, with different providers: {self.provider!r} at {self.source}, "
                f"{provider!r} at {self.env.calling_line()}"
            )
        self.override(**arguments)

    def override(self, **arguments: Any) -> None:
        """Take further arguments; those that differ must allow it."""
        for key, value in arguments.items():
            checked = self._checked(key, value)
            if checked == getattr(self, key):
                continue
            if not self._arguments[key].allow_override:
                raise Fail(
                    f"{self} is declared again with another {key}: {getattr(self, key)!r} at {self.source}, "
                    f"{checked!r} at {self.env.calling_line()}"
                )
            self.arguments[key] = checked
        self._validate()

    def _validate(self) -> None:
        if not isinstance(type(self).validate, ResourceArgument):  # File has an argument of that name
            self.validate()

    def validate(self) -> None:
        """Checks across arguments; for subclasses."""

    def subscribe(self, action: str, resource: Resource, immediate: bool = False) -> None:
        """When this resource changes, have action done on resource: at once, or at the end of the run."""
        if not isinstance(resource, Resource):
            raise InvalidArgument(f"{self}: {resource!r} is no resource that could be notified of {action!r}")
        resource._check_action(action)
        self.subscriptions["immediate" if immediate else "delayed"].add((action, resource))

    def updated(self) -> None:
        self.is_updated = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{self.name}]"


def _current_environment() -> Any:
    from kokki.environment import Environment

    return Environment.get_instance()
