"""A place for one cluster's backups in every repository: there, or made."""

import os

from kokki import ForcedListArgument, Provider, Resource, process


class Stanza(Resource):
    """name: of the section of pgbackrest.conf. Made by a primary only: a replica's backups are its primary's."""

    action = ForcedListArgument(default="create")
    actions = (*Resource.actions, "create")
    provider = "*pgbackrest.StanzaProvider"


class StanzaProvider(Provider):
    tells_the_future = True

    def action_create(self):
        self.converge({"stanza": self.is_there()}, {"stanza": True}, lambda _changes: self.make())

    def is_there(self):
        """By a note of which repositories it was made in: to ask an object storage each time would take seconds."""
        return read(self.note) == self.place

    @property
    def note(self):
        return f"/var/lib/deploymachine/stanza-{self.resource.name}"

    @property
    def place(self):
        backup = self.env.config.postgresql.backup
        remote = backup.s3 and "{endpoint}/{bucket}{path}".format(**backup.s3)
        return "\n".join([backup.path, *([remote] if remote else [])]) + "\n"

    def make(self):
        command = ["pgbackrest", f"--stanza={self.resource.name}", "--log-level-console=warn", "stanza-create"]
        process.check(command, f"{self.resource} could not be made", user="postgres", cwd="/")
        with open(self.note, "w") as file:
            file.write(self.place)

    def describe(self, _key, _old, _new):
        return "made"


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.read()
