"""The flavors and the image that the recorded cloud had; devcloud comes out with them instead of its own."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import pytest

from deploymachine import devcloud
from deploymachine.devcloud.state import Flavor, Image, builtin_id

FLAVORS = tuple(
    Flavor(builtin_id("flavor", name), name, ram, vcpus, disk)
    for name, ram, vcpus, disk in [
        ("m1.nano", 128, 1, 1),
        ("m1.tiny", 512, 1, 1),
        ("m1.small", 2048, 1, 20),
        ("m1.medium", 4096, 2, 40),
        ("m1.large", 8192, 4, 80),
        ("m1.toobig", 999424, 500, 10),
    ]
)
UPLOADED = {f"owner_specified.openstack.{name}": "" for name in ("md5", "sha256")}
IMAGES = (
    Image(
        id=builtin_id("image", "tiny-raw"),
        name="tiny-raw",
        base="debian-13",
        properties={
            "os_distro": "debian",
            "os_version": "12",
            **UPLOADED,
            "owner_specified.openstack.object": "images/tiny-raw",
        },
        visibility="public",
        size=32768,
        checksum="51ea6573549a7b071188c36ab5d69bb3",
        sha512="0" * 128,
    ),
)


CHOICE = {"FLAVORS": FLAVORS, "IMAGES": IMAGES, "ZONES": ("nova",), "HOSTS": {"one": "nova", "two": "nova"}}


def put(patch: pytest.MonkeyPatch) -> None:
    for found in pkgutil.iter_modules(devcloud.__path__, "deploymachine.devcloud."):
        importlib.import_module(found.name)  # else it would be imported with these, and keep them
    for module in [one for name, one in sys.modules.items() if name.startswith("deploymachine.devcloud.")]:
        for name, value in CHOICE.items():
            if hasattr(module, name):
                patch.setattr(module, name, value)
