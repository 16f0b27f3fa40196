"""A site's variables in, the lines that a shell and systemd read them from out."""

import re

from kokki import Fail

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def environment_file(variables):
    """{name: value} -> NAME='value' lines. Within single quotes nothing is special but the quote itself."""
    for name, value in variables.items():
        if not NAME.fullmatch(name):
            raise Fail(f"{name!r} can't be the name of an environment variable")
        if "\0" in str(value):
            raise Fail(f"the environment variable {name} can't hold a NUL character")
    return "".join(
        "{}='{}'\n".format(name, str(value).replace("'", "'\\''")) for name, value in sorted(variables.items())
    )
