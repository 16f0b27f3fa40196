"""Upgrade: every package in the newest version that apt knows."""

from typing import ClassVar

from kokki import *
from kokki import apt, process

COMMAND = ["upgrade", "--with-new-pkgs"]  # a new kernel is a new package
HALVES = "packages left half-way"


class Upgrade(Resource):
    """name: says what for. What is there is upgraded; nothing is removed for it."""

    provider = "*base.UpgradeProvider"
    action = ForcedListArgument(default="upgrade")
    actions: ClassVar = [*Resource.actions, "upgrade"]


class UpgradeProvider(Provider):
    tells_the_future = True

    def action_upgrade(self):
        halves = {HALVES: ("some", "none")} if apt.installed().broken else {}
        if not self.env.dry_run:
            apt.repair()  # as long as an upgrade that failed is not finished apt may see no further
            trouble = apt.refresh()
            if trouble:
                raise Fail("apt's index could not be refreshed", output=trouble.splitlines())
        waiting = newer_versions(process.check(["apt-get", "-s", *COMMAND], "apt-get failed").output)
        waiting.update(halves)
        current = {name: old for name, (old, _new) in waiting.items()}
        self.converge(current, {name: new for name, (_old, new) in waiting.items()}, self.apply)

    def apply(self, _changes):
        with apt.services_held_back():
            apt.get(COMMAND, "the upgrade failed")


def newer_versions(simulated):
    """What `apt-get -s` would install: {package: (version now or None, then)}."""
    found = {}
    for line in simulated.splitlines():
        words = line.split()
        if words[:1] == ["Inst"]:
            old = words[2].strip("[]") if words[2].startswith("[") else None
            new = words[3 if old else 2]
            found[words[1]] = (old, new.lstrip("("))
    return found
