"""Join cgroups, then become the command with its devices: `launch.py BINDS CGROUP_PROCS... -- COMMAND ARGUMENTS...`.

A process of its own because joining happens between fork and exec, where a threaded daemon must not run Python; and
run again when the machine reboots itself, so it finds the devices that were attached meanwhile.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    split = sys.argv.index("--")
    for procs in sys.argv[2:split]:
        Path(procs).write_text(str(os.getpid()))
    command, *arguments = sys.argv[split + 1 :]
    binds = [f"--bind={line}" for line in Path(sys.argv[1]).read_text().splitlines()]
    os.execvp(command, [command, *binds, *arguments])  # noqa: S606 - an argv list of our own, no shell
