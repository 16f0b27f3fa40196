"""Virtualenv and PipPackage: an environment at a path, and packages in it; their state is read without a process."""

import os
import re

from kokki import *
from kokki import process

PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--require-virtualenv", "--quiet"]


class Virtualenv(Resource):
    """path (the name) is a virtual environment of `python`.  user, group: who owns it and runs pip in it."""

    provider = "*python.VirtualenvProvider"
    action = ForcedListArgument(default="create")
    path = ResourceArgument(default=lambda resource: resource.name)
    python = ResourceArgument(default="/usr/bin/python3")
    user = ResourceArgument()
    group = ResourceArgument()
    actions = [*Resource.actions, "create", "delete"]  # noqa: RUF012 - the recipe language's own form


class PipPackage(Resource):
    """version: exact; without it, whatever there is stays.  virtualenv: path of the environment to install into."""

    provider = "*python.PipProvider"
    action = ForcedListArgument(default="install")
    package_name = ResourceArgument(default=lambda resource: resource.name)
    version = ResourceArgument()
    virtualenv = ResourceArgument(required=True)
    user = ResourceArgument()
    group = ResourceArgument()
    actions = [*Resource.actions, "install", "remove"]  # noqa: RUF012


def installed(virtualenv):
    """Normalised name -> version of what lies in an environment."""
    library = os.path.join(virtualenv, "lib")
    versions = sorted(os.listdir(library)) if os.path.isdir(library) else []
    folders = [os.path.join(library, name, "site-packages") for name in versions if name.startswith("python")]
    entries = [name[: -len(".dist-info")] for folder in folders for name in os.listdir(folder) if is_package(name)]
    return {normalised(name): version for name, _dash, version in (entry.rpartition("-") for entry in entries)}


def is_package(name):
    return name.endswith(".dist-info") and not name.startswith("~")


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


class VirtualenvProvider(Provider):
    tells_the_future = True

    def action_create(self):
        there = os.path.exists(os.path.join(self.resource.path, "bin", "pip"))
        self.converge({"exists": there}, {"exists": True}, lambda _changes: self.make())

    def action_delete(self):
        there = os.path.exists(os.path.join(self.resource.path, "pyvenv.cfg"))
        self.converge({"exists": there}, {"exists": False}, lambda _changes: self.delete())

    def describe(self, _key, _old, new):
        return "created" if new else "deleted"

    def make(self):
        resource = self.resource
        argv = [resource.python, "-m", "venv", "--clear", resource.path]
        process.check(argv, f"{resource} failed", user=resource.user, group=resource.group)

    def delete(self):
        from shutil import rmtree

        rmtree(self.resource.path)


class PipProvider(Provider):
    tells_the_future = True

    def action_install(self):
        now = self.version()
        wanted = self.resource.version or now or "latest"
        self.converge({"version": now}, {"version": wanted}, lambda _changes: self.install())

    def action_remove(self):
        name = self.resource.package_name
        self.converge(
            {"version": self.version()}, {"version": None}, lambda _changes: self.pip("uninstall", "-y", name)
        )

    def describe(self, _key, old, new):
        if new is None:
            return f"removed {old}"
        return f"installed {new}" if old is None else f"version {old} -> {new}"

    def version(self):
        return installed(self.resource.virtualenv).get(normalised(self.resource.package_name))

    def install(self):
        before, resource = self.version(), self.resource
        pin = f"=={resource.version}" if resource.version is not None else ""
        self.pip("install", f"{resource.package_name}{pin}")
        self.changes[-1] = self.describe("version", before, self.version())

    def pip(self, *words):
        resource = self.resource
        python = os.path.join(resource.virtualenv, "bin", "python")
        process.check([python, *PIP, *words], f"{resource} failed", user=resource.user, group=resource.group)
