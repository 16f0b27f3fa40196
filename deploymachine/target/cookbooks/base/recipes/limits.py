"""No core dumps: they hold whatever a program knew, passwords among it. And, where wanted, no shell left open."""

from kokki import *

seconds = env.config.base.idle_logout

File("/etc/security/limits.d/10-deploymachine.conf", content="* hard core 0\n* soft core 0\n", mode=0o644)
Directory("/etc/systemd/coredump.conf.d", mode=0o755)
File(
    "/etc/systemd/coredump.conf.d/deploymachine.conf",
    content="[Coredump]\nStorage=none\nProcessSizeMax=0\n",
    mode=0o644,
)
File("/etc/profile.d/deploymachine.sh", content=Template("base/profile.sh.j2", {"seconds": seconds}), mode=0o644)
