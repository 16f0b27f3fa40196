"""The recipe language: `from kokki import *` gives resources, sources and what cookbooks extend them with."""

from __future__ import annotations

from kokki.base import BooleanArgument, ForcedListArgument, Resource, ResourceArgument
from kokki.environment import Cookbook, Environment, Kitchen
from kokki.exceptions import Fail, InvalidArgument
from kokki.providers import Provider, find_provider
from kokki.resources.accounts import Group, User
from kokki.resources.cron import Cron
from kokki.resources.execute import Execute, Script
from kokki.resources.files import Directory, File, Link
from kokki.resources.git import Git
from kokki.resources.line import Line
from kokki.resources.mount import Mount
from kokki.resources.package import Package
from kokki.resources.repository import AptRepository
from kokki.resources.service import Service
from kokki.resources.sysctl import Sysctl
from kokki.resources.unit import SystemdUnit
from kokki.secrets import Secret
from kokki.source import DownloadSource, Source, StaticFile, Template
from kokki.system import System

__all__ = [
    "AptRepository",
    "BooleanArgument",
    "Cookbook",
    "Cron",
    "Directory",
    "DownloadSource",
    "Environment",
    "Execute",
    "Fail",
    "File",
    "ForcedListArgument",
    "Git",
    "Group",
    "InvalidArgument",
    "Kitchen",
    "Line",
    "Link",
    "Mount",
    "Package",
    "Provider",
    "Resource",
    "ResourceArgument",
    "Script",
    "Secret",
    "Service",
    "Source",
    "StaticFile",
    "Sysctl",
    "System",
    "SystemdUnit",
    "Template",
    "User",
    "find_provider",
]
