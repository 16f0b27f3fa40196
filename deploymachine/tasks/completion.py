"""What a shell asks for at the tab key: the beginning of a command line in, the words that may follow out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task

from deploymachine.errors import SettingsError, UsageError
from deploymachine.settings_file import execute, settings_path
from deploymachine.tasks._task import task

ASKED = "--complete"
# Each hands over the line up to the cursor as one argument, and is told a word a line; where it is told none, files do.
SCRIPTS = {
    "bash": r"""
_deploymachine_fab() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n'
    local word="${line##* }"
    COMPREPLY=($(compgen -W "$(fab --complete -- "$line" 2>/dev/null)" -- "$word"))
    # What stands before a colon is on the line already, as far as bash is concerned.
    if [[ $COMP_WORDBREAKS == *:* ]]; then
        local before="${word%"${word##*:}"}"
        COMPREPLY=("${COMPREPLY[@]#"$before"}")
    fi
}
complete -o default -F _deploymachine_fab fab
""",
    "zsh": r"""
_deploymachine_fab() {
    local -a found
    found=(${(f)"$(fab --complete -- "${(j: :)words[1,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
compdef _deploymachine_fab fab
""",
    "fish": r"""
function __deploymachine_fab
    fab --complete -- (commandline --cut-at-cursor --current-process | string collect) 2>/dev/null
end
complete --command fab --no-files --arguments '(__deploymachine_fab)'
""",
}


@task(positional=["shell"], help={"shell": "bash, zsh or fish"})
def completion(_: Context, shell: str) -> None:
    """Print what has the tab key complete tasks, options, servers and sites: `fab completion bash >> ~/.bashrc`.

    For zsh: `fab completion zsh >> ~/.zshrc`; for fish: `fab completion fish > ~/.config/fish/completions/fab.fish`.
    Changes nothing.
    """
    if shell not in SCRIPTS:
        raise UsageError(f"There is no completion for {shell!r}", hint=f"there is one for {', '.join(SCRIPTS)}")
    print(SCRIPTS[shell].strip())


def line_asked(argv: Sequence[str]) -> str | None:
    """The line up to the cursor, where a shell asks for what may follow."""
    if ASKED not in argv or "--" not in argv:
        return None
    return " ".join(argv[argv.index("--") + 1 :])


def words_of(line: str) -> list[str]:
    """Its words without the program's name; the last one is what is being typed, "" where that has not begun."""
    try:
        words = shlex.split(line)
    except ValueError:  # within quotes
        words = line.split()
    return [*words[1:], *([""] if line.endswith(" ") or len(words) < 2 else [])]


def answer(found: Collection, directory: Path, line: str) -> None:
    """Print the words, and end."""
    for word in candidates(found, directory, words_of(line)):
        print(word)
    sys.exit(0)


def candidates(found: Collection, directory: Path, words: Sequence[str]) -> list[str]:
    """What the last of `words` may become."""
    *before, last = words
    names = _task_names(found)
    current = next((word for word in reversed(before) if word in names), None)
    doing = found[current] if current is not None else None
    if before and before[-1].startswith("--") and _takes_value(doing, before[-1]):
        offered: Iterable[str] = _values(before[-1], directory)
    elif last.startswith("-"):
        offered = _options(doing)
    elif current == completion.name and before[-1] == current:
        offered = SCRIPTS
    else:
        offered = [*_arguments(doing, directory), *names]
    return [word for word in dict.fromkeys(offered) if word.startswith(last)]


def _task_names(found: Collection) -> list[str]:
    return sorted({name for task_name, aliases in found.task_names.items() for name in (task_name, *aliases)})


def _options(doing: Task[Any] | None) -> list[str]:
    if doing is None:
        return ["--list", "--help", "--version"]
    names = [name for argument in doing.get_arguments() for name in argument.names if len(name) > 1]
    return [f"--{name.replace('_', '-')}" for name in names]


def _takes_value(doing: Task[Any] | None, option: str) -> bool:
    arguments = doing.get_arguments() if doing is not None else []
    return any(option[2:].replace("-", "_") in argument.names and argument.takes_value for argument in arguments)


def _values(option: str, directory: Path) -> list[str]:
    """Of an option that names sites or servers; of others, none."""
    if option == "--site":
        return _sites(directory)
    return _servers(directory) if option in ("--server", "--servers") else []


def _arguments(doing: Task[Any] | None, directory: Path) -> list[str]:
    """The servers, where they are what a task itself takes."""
    if doing is None:
        return []
    takes = {name for argument in doing.get_arguments() if argument.positional for name in argument.names}
    servers = doing.name.startswith("openstack_") or doing.name == "ssh"
    return _servers(directory) if servers and takes & {"name", "names"} else []


def _sites(directory: Path) -> list[str]:
    try:
        return sorted(execute(settings_path(directory)).get("SITES", {}))
    except (SettingsError, TypeError):
        return []


def _servers(directory: Path) -> list[str]:
    from deploymachine.tasks import server_names

    return server_names(directory)
