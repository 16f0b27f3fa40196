"""Execute and Script: commands that make something so; they run when their guards let them."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Dict, List

from kokki import process
from kokki.base import ForcedListArgument, Resource, ResourceArgument
from kokki.exceptions import Fail
from kokki.providers import Provider

__all__ = ["Execute", "Script"]


class Execute(Resource):
    """command: an argv list, or text for /bin/sh. creates: a path that makes running needless.

    environment: variables added to PATH, HOME, LANG.  stdin: text (may be a Secret) to read.  returns: exit codes
    that are success.  timeout: seconds. A secret belongs into environment or stdin: arguments show in `ps`.
    """

    action = ForcedListArgument(default="run")
    command = ResourceArgument(default=lambda resource: resource.name)
    creates = ResourceArgument()
    cwd = ResourceArgument()
    environment = ResourceArgument()
    user = ResourceArgument()
    group = ResourceArgument()
    returns = ForcedListArgument(default=lambda _resource: [0])
    timeout = ResourceArgument()
    stdin = ResourceArgument()

    actions: ClassVar[List[str]] = [*Resource.actions, "run"]


class Script(Resource):
    """code: a program's text, handed to interpreter in a file that only the user it runs as can read."""

    action = ForcedListArgument(default="run")
    code = ResourceArgument(required=True)
    interpreter = ResourceArgument(default="/bin/bash")
    creates = ResourceArgument()
    cwd = ResourceArgument()
    environment = ResourceArgument()
    user = ResourceArgument()
    group = ResourceArgument()
    returns = ForcedListArgument(default=lambda _resource: [0])
    timeout = ResourceArgument()

    actions: ClassVar[List[str]] = [*Resource.actions, "run"]


class CommandProvider(Provider):
    tells_the_future = True
    done = "executed"

    def action_run(self) -> None:
        creates = self.resource.creates
        done = creates is not None and os.path.exists(creates)
        if creates is not None and not done and self.env.dry_run and self.env.runner.uncertain:
            self.unknown = f"runs unless an earlier resource makes {creates}; would be decided then"
            return
        self.converge({"done": done}, {"done": True}, lambda _changes: self._run())

    def describe(self, *_change: Any) -> str:
        return self.done

    def options(self) -> Dict[str, Any]:
        resource = self.resource
        names = ("user", "group", "cwd", "environment", "timeout")
        return {name: getattr(resource, name) for name in names}

    def _run(self) -> None:
        raise NotImplementedError

    def accept(self, completed: process.Completed) -> None:
        if completed.code not in self.resource.returns:
            raise process.failed(completed, f"{self.resource} failed")
        self.changes[-1] = f"{self.done}, exit code {completed.code}"


class ExecuteProvider(CommandProvider):
    def _run(self) -> None:
        self.accept(process.run(self._argv(), stdin=self.resource.stdin, **self.options()))

    def _argv(self) -> List[str]:
        command = self.resource.command
        if isinstance(command, str):
            return ["/bin/sh", "-c", str(command)]
        if not command:
            raise Fail(f"{self.resource} has no command")
        return [str(word) for word in command]


class ScriptProvider(CommandProvider):
    done = "ran"

    def _run(self) -> None:
        import tempfile

        with tempfile.NamedTemporaryFile("w", prefix="kokki-script-") as script:
            script.write(self.resource.code)
            script.flush()
            self._hand_over(script.fileno())
            self.accept(process.run([self.resource.interpreter, script.name], **self.options()))

    def _hand_over(self, descriptor: int) -> None:
        from kokki import accounts

        owner = accounts.uid_of(self.resource.user)
        if owner is not None and owner != os.geteuid():
            os.fchown(descriptor, owner, -1)
