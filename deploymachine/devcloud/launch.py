"""Join cgroups, then become the command: `launch.py CGROUP_PROCS... -- ARGV...`.

A process of its own because joining happens between fork and exec, where a threaded daemon must not run Python.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    split = sys.argv.index("--")
    for procs in sys.argv[1:split]:
        Path(procs).write_text(str(os.getpid()))
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])  # noqa: S606 - an argv list of our own, no shell
