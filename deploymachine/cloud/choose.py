"""What a user asks of a flavor or an image in, the one of those there are that fits out; pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from deploymachine.errors import UsageError

Found = TypeVar("Found", bound=Any)  # a Resource of the SDK
Condition = Callable[[Any], bool]

COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
CONDITION = re.compile(r"(ram|vcpus|disk)\s*(>=|<=|==|=|>|<)\s*(\d{1,9})\s*(MB|GB)?")
UNITS = {"ram": ("MB", 1024), "disk": ("GB", 1)}  # what a plain number means, and how many of that a GB is
EXAMPLE = 'write it as "ram >= 2048" or "ram >= 2048, vcpus >= 2, disk >= 10" (ram in MB, disk in GB)'


def is_expression(wanted: str) -> bool:
    """Whether a flavor is asked for by what it has rather than by name."""
    return re.search(r"[<>=]", wanted) is not None


def is_pattern(wanted: str) -> bool:
    """Whether an image is asked for by a shell pattern rather than by name."""
    return re.search(r"[*?\[]", wanted) is not None


def least_flavor(every: Iterable[Found], expression: str) -> Found | None:
    """The flavor with the least memory, then cores, then disk that meets every condition; None where none does.

    Raises UsageError for an expression that can't be read.
    """
    conditions = [_condition(part.strip(), expression) for part in expression.split(",")]
    fitting = [flavor for flavor in every if all(holds(flavor) for holds in conditions)]
    return min(fitting, key=lambda one: (*(amount(one, of) for of in ("ram", "vcpus", "disk")), one.name), default=None)


def amount(flavor: Any, of: str) -> int:
    """How much of "ram", "vcpus" or "disk" a flavor has."""
    return int(getattr(flavor, of, None) or 0)


def _condition(text: str, expression: str) -> Condition:
    match = CONDITION.fullmatch(text)
    if match is None:
        why = f"{text!r} is no condition on ram, vcpus or disk" if text else "a condition is empty"
        raise UsageError(f"The flavor {expression!r} can't be read", why=why, hint=EXAMPLE)
    of, compare, number, unit = match.groups()
    meant, per_gb = UNITS.get(of, (None, 1))
    if unit is not None and meant is None:
        raise UsageError(f"The flavor {expression!r} can't be read", why=f"{of} has no unit", hint=EXAMPLE)
    if unit == "MB" and meant == "GB":
        raise UsageError(f"The flavor {expression!r} can't be read", why="disk is in GB", hint=EXAMPLE)
    least = int(number) * (per_gb if unit == "GB" else 1)
    return lambda flavor: COMPARISONS[compare](amount(flavor, of), least)


def newest_image(every: Iterable[Found], wanted: str | Mapping[str, str]) -> Found | None:
    """The newest image whose name fits the pattern, or that has all the properties; None where there is none."""
    fits = {"name": wanted} if isinstance(wanted, str) else wanted
    fitting = [image for image in every if all(fnmatchcase(_property(image, key), fits[key]) for key in fits)]
    return max(fitting, key=lambda image: str(image.created_at), default=None)


def _property(image: Any, key: str) -> str:
    """What the image says of `key`: a field that every image has, or a property that somebody set."""
    value = (getattr(image, "properties", None) or {}).get(key)
    if value is None:
        value = getattr(image, key, None)
    return "" if value is None else str(value)


def image_properties(wanted: str) -> dict[str, str]:
    """ "os_distro=debian,os_version=13" as a dict. Raises UsageError where it is not of that form."""
    pairs = [part.partition("=") for part in wanted.split(",")]
    if not all(key.strip() and sign and value.strip() for key, sign, value in pairs):
        raise UsageError(
            f"The image {wanted!r} can't be read",
            why="with '=' in it, it is a list of properties",
            hint='write it as "os_distro=debian,os_version=13"',
        )
    return {key.strip(): value.strip() for key, _, value in pairs}
