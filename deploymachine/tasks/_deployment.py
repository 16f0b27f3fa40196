"""The deployment that the commands of this run are about: settings, cloud, inventory and secrets, each read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploymachine.cloud import Cloud
    from deploymachine.inventory import Inventory
    from deploymachine.servertypes import Deployment
    from deploymachine.settings import Settings

_directory = Path()


def set_directory(directory: Path) -> None:
    """The directory of the fabfile, where settings.py lies."""
    global _directory
    _directory = directory
    settings.cache_clear()
    cloud.cache_clear()


def directory() -> Path:
    return _directory


@cache
def settings() -> Settings:
    from deploymachine import settings as module

    return module.load(_directory)


@cache
def cloud() -> Cloud:
    from deploymachine.cloud import connect

    return connect(settings())


def inventory() -> Inventory:
    """The servers there are right now: the cloud's, where settings.py wants any, and those of SERVERS."""
    from deploymachine.inventory import Inventory, fixed

    booted = list(cloud().servers()) if settings().OPENSTACK_SERVERS else []
    if booted:
        cloud().pin_host_keys(booted)
    return Inventory([*booted, *fixed(settings())])


def settings_now() -> Settings:
    """settings.py as it is seen while a split, a merge or a move may be under way."""
    return deployment().settings if _changing() else settings()


def cloud_now() -> Cloud:
    """The cloud with those settings."""
    if not _changing():
        return cloud()
    from deploymachine.cloud import Cloud

    return Cloud(settings_now(), cloud().connection)


def keep_groups() -> None:
    """Have the cloud let in what settings.py says now, before the servers do."""
    if settings().OPENSTACK_SERVERS:
        cloud_now().keep_groups()


def publish_host_keys() -> None:
    """Have the cloud tell the host keys that provisioning made."""
    if settings().OPENSTACK_SERVERS:
        cloud().publish_host_keys()


def deployment() -> Deployment:
    """Settings, servers and secrets, as they are seen while a split, a merge or a move may be under way."""
    plain = plain_deployment()
    if not _changing():
        return plain
    from deploymachine.split.between import between

    return between(plain)


def _changing() -> bool:
    """Whether there is a journal of a split; what reads it takes a while to import."""
    return (settings().state / "split.json").exists()


def plain_deployment() -> Deployment:
    """Settings, servers and secrets, as settings.py and the cloud tell them."""
    from deploymachine import secrets
    from deploymachine.servertypes import Deployment

    return Deployment(settings(), inventory(), secrets.of(settings()))
