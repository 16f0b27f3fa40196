"""Notifications not yet carried out go to disk, so that the next run does what a run that died has left."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, Tuple

from kokki.paths import private_directory, write_atomically


class Pending:
    """The (action, resource) pairs owed, in a JSON file that is there only while something is owed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._saved: List[List[str]] = []
        self._others: List[List[str]] = []  # owed to resources that this run does not declare: another run's

    def save(self, pairs: Iterable[Tuple[str, Any]]) -> None:
        import json

        ours = ([type(resource).__name__, resource.name, action] for action, resource in pairs)
        entries = sorted([*self._others, *ours])
        if entries == self._saved:
            return
        self._saved = entries
        if entries:
            private_directory(os.path.dirname(self.path))
            write_atomically(self.path, json.dumps(entries).encode())
        else:
            os.unlink(self.path)

    def load(self, env: Any) -> List[Tuple[str, Any]]:
        """What is owed to resources that are declared now; the rest is kept for a run that declares them.

        What this run stops is owed nothing any more: to be restarted for an earlier change would start it.
        """
        import json

        try:
            with open(self.path, encoding="utf-8") as stream:
                self._saved = json.load(stream)
        except (FileNotFoundError, ValueError):
            return []
        resources: Dict[str, Dict[str, Any]] = env.resources
        self._others = [
            [kind, name, action] for kind, name, action in self._saved if name not in resources.get(kind, {})
        ]
        owed = [(entry[2], resources[entry[0]][entry[1]]) for entry in self._saved if entry not in self._others]
        return [(action, resource) for action, resource in owed if "stop" not in resource.action]
