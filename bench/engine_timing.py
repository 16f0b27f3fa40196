"""Run on a server: a request as the controller sends it in, one JSON line per run out: seconds, engine's ms, memory.

python3 engine_timing.py REQUEST RUNS    REQUEST: a file with what goes to python3's standard input
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

COMMAND = ["python3", "-I", "-S", "-c"]


def once(loader: str, request: str) -> dict[str, Any]:
    """Wall time from the start of python3 to its end, its own account of the run, its peak memory and CPU time."""
    with Path(request).open("rb") as stdin:
        began = time.perf_counter()
        process = subprocess.Popen([*COMMAND, loader], stdin=stdin, stdout=subprocess.PIPE)
        last = list(process.stdout or ())[-1]
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "ms": seconds * 1000,
        "run": json.loads(last) if last.startswith(b"{") else {},
        "memory": usage.ru_maxrss / 1024,
        "cpu": (usage.ru_utime + usage.ru_stime) * 1000,
        "code": process.returncode,
    }


def main() -> None:
    loader, request, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for _ in range(runs):
        print(json.dumps(once(loader, request)))


if __name__ == "__main__":
    main()
