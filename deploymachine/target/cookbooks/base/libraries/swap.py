"""This machine's memory and disk in, the size of its swap file out."""

import os

MOST_MB = 2048
SHARE_OF_DISK = 0.1


def swap_mb(env):
    """base.swap_mb; where that is None as much as there is memory, but 2 GB and a tenth of the disk at most."""
    wanted = env.config.base.swap_mb
    if env.cookbooks.base.in_container():
        return 0  # its kernel lets nobody add swap
    if wanted is not None:
        return int(wanted)
    disk = os.statvfs("/")
    return min(env.system.memory_mb, MOST_MB, int(disk.f_blocks * disk.f_frsize / 2**20 * SHARE_OF_DISK))


def has_swap_file(path):
    """Whether a swap file of ours is there."""
    return os.path.exists(path) and os.path.exists("/etc/systemd/system/swapfile.swap")
