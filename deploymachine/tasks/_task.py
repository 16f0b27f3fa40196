"""@task for this package: Invoke's, with every error shown as one clear message and exit code 1."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from invoke.exceptions import Exit
from invoke.tasks import Task

from deploymachine.errors import DeployMachineError

INTERRUPTED = 130
UNREAD = 141  # as shells tell of a command whose reader has gone


def task(**options: Any) -> Callable[[Callable[..., Any]], Task[Any]]:
    """Use like Invoke's, always with parentheses: `@task()`, `@task(positional=["name"])`."""
    return lambda body: Task(_told(body), **options)


def _told(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            answer = body(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:  # `fab status | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Exit(code=UNREAD) from None
        except DeployMachineError as error:
            raise Exit(_shown(str(error)), 1) from None
        except KeyboardInterrupt:
            raise Exit(
                "Stopped. What had begun ends in good order: run the same command again to go on.", INTERRUPTED
            ) from None
        except (Exit, SystemExit):
            raise
        except Exception as error:
            if os.environ.get("DEPLOYMACHINE_DEBUG"):
                raise
            from deploymachine.ssh import internal

            raise Exit(_shown(str(internal(error))), 1) from None
        return answer

    return wrapper


def _shown(text: str) -> str:
    head, _, rest = text.partition("\n")
    word = "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() else "error:"
    return f"{word} {head}" + (f"\n{rest}" if rest else "")
