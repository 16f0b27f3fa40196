"""Nothing is run from shared memory: whoever gets to write a file somewhere finds no place there to start it from."""

from kokki import *

SHARED = "/dev/shm"  # noqa: S108 - where it is, not a file in it
OPTIONS = ("nosuid", "nodev", "noexec")

Line(
    f"tmpfs {SHARED} tmpfs {','.join(OPTIONS)} 0 0",
    path="/etc/fstab",
    match=rf"^\S+\s+{SHARED}\s",
    missing_ok=True,
)
Execute(
    f"mount -o remount,{','.join(OPTIONS)} {SHARED}",
    not_if=lambda: env.cookbooks.base.mounted_with(SHARED, OPTIONS),
    ignore_failures=True,  # a container may not be let to; its next boot has what fstab says, or its host decides
)
