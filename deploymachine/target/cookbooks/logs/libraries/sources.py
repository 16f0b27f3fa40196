"""Attributes in; out come the files that are logs here, and who may send."""

import json
import os

from kokki import Fail


def files(env):
    """{pattern: program} of every log file there is or may come to be."""
    found = {**env.config.logs.files, **env.config.logs.more_files}
    for pattern in found:
        if not os.path.isabs(pattern) or not pattern.endswith(".log") or '"' in pattern:
            raise Fail(f"logs.files: {pattern!r} has to be an absolute path that ends in .log")
    return found


def senders(env):
    """The table by which a lognode knows its senders by their addresses, whatever name they say is theirs."""
    ours = {"127.0.0.1": env.config.base.hostname or env.system.hostname}
    addresses = {**{address: name for name, address in env.config.logs.senders.items()}, **ours}
    table = [{"index": address, "value": name} for address, name in sorted(addresses.items())]
    return json.dumps({"version": 1, "nomatch": "unknown", "type": "string", "table": table}, indent=1) + "\n"


def is_ours(path):
    """Whether we wrote that file."""
    try:
        with open(path) as file:
            return file.readline().startswith("# deploymachine")
    except FileNotFoundError:
        return False
