"""What kind of machine this is, as systemd found at boot."""

import os


def in_container():
    """Whether the kernel, and with it the clock, belongs to somebody else."""
    return os.path.exists("/run/systemd/container")
