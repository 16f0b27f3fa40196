"""One machine for the engine's tests: recipes cooked on it over the real connection, and packages made on the spot."""

from __future__ import annotations

import json
import shlex
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine_world import until

from deploymachine.converge import Result, run
from deploymachine.errors import DeployMachineError
from deploymachine.runlist import RunList
from deploymachine.ssh import Connection

MAKE_REPOSITORY = Path(__file__).with_name("make_repository.py")


@dataclass
class Cooked:
    """How a run ended. error: what its caller would be shown."""

    result: Result | None = None
    error: DeployMachineError | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def states(self) -> list[str]:
        return [event["state"] for event in self.events if event["event"] == "resource-done"]

    @property
    def failed(self) -> dict[str, Any]:
        """The error of the resource that failed."""
        return next(event["error"] for event in self.events if event.get("state") == "failed" and "error" in event)


class Machine:
    """connection: root's. books: where the recipes of the test are written, a folder for each that is cooked."""

    def __init__(self, connection: Connection, books: Path) -> None:
        self.connection = connection
        self.books = books
        self.count = 0

    def sh(self, command: str) -> str:
        done = self.connection.run(["sh", "-c", command])
        assert done.code == 0, f"{command}\n{done.output}{done.errors}"
        return done.output

    def write(self, path: str, content: str) -> None:
        self.sh(f"printf %s {shlex.quote(content)} > {path}")

    def there(self, path: str) -> bool:
        return self.connection.run(["test", "-e", path]).code == 0

    def cook(self, recipe: str, *, dry_run: bool = False, connection: Connection | None = None) -> Cooked:
        """Cook one recipe; `from kokki import *` stands before it."""
        self.count += 1
        paths = (self.books / str(self.count),)
        folder = paths[0] / "app" / "recipes"
        folder.mkdir(parents=True)
        (folder.parent / "metadata.py").write_text("")
        (folder / "default.py").write_text("from kokki import *\n" + textwrap.dedent(recipe))
        request = RunList("m", ("test",), ("app",), {}, paths).request(dry_run=dry_run)
        cooked = Cooked()
        try:
            cooked.result = run(
                connection or self.connection, request, lambda _server, e: cooked.events.append(e), cookbook_paths=paths
            )
            cooked.error = cooked.result.error
        except DeployMachineError as error:
            cooked.error = error
        return cooked

    def begin(self, recipe: str, connection: Connection | None = None) -> tuple[threading.Thread, Cooked]:
        """Cook in the background; what came of it is in the second once the first has ended."""
        kept = Cooked()

        def work() -> None:
            done = self.cook(recipe, connection=connection)
            kept.result, kept.error, kept.events = done.result, done.error, done.events

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread, kept

    def kill_run(self) -> None:
        """kill -9 the run that holds the lock and everything it started."""
        first = json.loads(self.sh("cat /run/lock/deploymachine-kokki.lock"))["pid"]
        rows = [line.split() for line in self.sh("ps -eo pid=,ppid=").splitlines()]
        doomed = [str(first)]
        for pid in doomed:  # grows while children are found
            doomed += [child for child, parent in rows if parent == pid]
        self.sh(f"kill -9 {' '.join(doomed)} 2>/dev/null || true")  # some end by themselves meanwhile

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        assert until(condition), what

    def packages(self, *packages: dict[str, Any]) -> None:
        """Make packages and an apt repository of them, the machine's only one; see make_repository.py."""
        self.write("/srv/test-make_repository.py", MAKE_REPOSITORY.read_text())
        self.write("/srv/test-packages.json", json.dumps(packages))
        self.sh("python3 /srv/test-make_repository.py")
