"""The deployment's secrets: looked at, set, and changed on every server that uses them."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from invoke.context import Context

from deploymachine.errors import UsageError
from deploymachine.tasks import deployment, reported, task
from deploymachine.tasks._deployment import settings
from deploymachine.tasks._prompt import agreed
from deploymachine.tasks._table import print_json, print_table

if TYPE_CHECKING:
    from deploymachine.secrets import Secret, Secrets

VALUE = {
    "from_environment": "the environment variable that holds the value",
    "from_command": "what prints the value, such as 'pass show mysite/mail'",
}


@task(positional=["name"], help={"name": "which one, as secrets.list names it"})
def get(_: Context, name: str) -> None:
    """Print one secret on standard output: `fab secrets.get deploy-password`. Changes nothing."""
    value = _secrets().get(name)
    if value is None:
        raise UsageError(f"There is no secret {name!r}", hint="`fab secrets.list` names those there are")
    print(str.__str__(value))


@task(name="list", help={"json": "as JSON"})
def list_(_: Context, json: bool = False) -> None:
    """Name every secret, where it is kept and what it is for, never its value: `fab secrets.list`. Changes nothing."""
    from deploymachine.secret_uses import described

    rows = described(settings(), _secrets())
    if json:
        print_json([vars(row) for row in rows])
    else:
        print_table(("secret", "kept in", "what for", "state"), [[r.name, r.kept, r.what, r.state] for r in rows])


@task(name="set", positional=["name"], help={"name": "letters, digits, - and _; a letter first", **VALUE})
def set_(_: Context, name: str, from_environment: str = "", from_command: str = "") -> None:
    """Keep a secret of your own: `fab secrets.set mail-password` asks for it, or reads it from a pipe.

    Changes the secrets file alone. Sites get it where "environment" in SITES says {"secret": "mail-password"}, with the
    next `fab everything kokki`. What servers compare, such as passwords of databases, takes `secrets.rotate`.
    """
    from deploymachine.secret_uses import check_name, refuse_to_set

    check_name(name)
    refuse_to_set(name)
    secrets = _secrets()
    secrets.refuse_foreign(name)
    secrets.set(name, _value(name, from_environment, from_command))
    print(f"{name} is kept in {secrets.file.where()}")


@task(
    positional=["name"],
    help={
        "name": "which one, as secrets.list names it",
        "given": "ask for the new value, or read it from a pipe, instead of making one",
        **VALUE,
        "force": "give the former value up although processes still use it",
        "patience": "seconds to wait until nobody uses the former value; default 180",
        "yes": "do not ask",
    },
)
def rotate(
    _: Context,
    name: str,
    given: bool = False,
    from_environment: str = "",
    from_command: str = "",
    force: bool = False,
    patience: int = 180,
    yes: bool = False,
) -> None:
    """Change a secret on all servers that use it: `fab secrets.rotate database-blog`. Sites serve on meanwhile.

    Changes the secrets file, and cooks the servers that know the secret. The new value is accepted everywhere before it
    is used, and used everywhere before the former one is given up. Stopped or failed, the same command goes on.
    """
    from deploymachine.rotation import rotate as carry_out
    from deploymachine.rotation_plans import plan

    here = deployment()
    here.secrets.refuse_foreign(name)
    uses = plan(name, here)
    told = _value(name, from_environment, from_command) if given or from_environment or from_command else None
    servers = ", ".join(server.name for server in uses.servers) or "nobody"
    if not agreed(f"{name} is changed; told of it: {servers}. {uses.warning}Go on?", yes):
        raise UsageError("Nothing was changed")
    with reported() as shown:
        carry_out(name, told, uses, here, shown, force=force, patience=patience)
    print(f"{name} is another now. {uses.afterwards}".strip())


@task()
def edit(_: Context) -> None:
    """Edit all secrets in your editor ($VISUAL or $EDITOR), as JSON: `fab secrets.edit`.

    Changes the secrets file alone, after the editor has ended well; a mistake in it changes nothing. No server is told.
    """
    from deploymachine.secret_editing import edited

    secrets = _secrets()
    changed = edited(secrets)
    print(f"Changed: {', '.join(changed)}" if changed else "Nothing was changed")


def _secrets() -> Secrets:
    from deploymachine import secrets

    return secrets.of(settings())


def _words(command: str) -> list[str]:
    """The words of a command, as a shell would split them. Raises UsageError."""
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--from-command {command!r} is no command", why=str(error)) from None
    if not found:
        raise UsageError("--from-command is empty")
    return found


def _value(name: str, variable: str, command: str) -> Secret:
    """The value, from wherever the command line says; never from the command line itself. Raises UsageError."""
    from deploymachine.secrets import Secret
    from deploymachine.secrets_sources import from_command, from_environment

    if variable and command:
        raise UsageError("--from-environment and --from-command: say one of the two")
    if variable:
        return from_environment(variable, "--from-environment")
    if command:
        return from_command(_words(command), "--from-command")
    if sys.stdin.isatty():
        from getpass import getpass

        value = getpass(f"{name}: ")
        if value != getpass("again: "):
            raise UsageError("The two differ: nothing was changed")
    else:
        value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise UsageError(f"There is no value for {name}", hint="type it, or pipe it in")
    return Secret(value)
