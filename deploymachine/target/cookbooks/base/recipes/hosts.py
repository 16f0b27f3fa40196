"""The server's own name, and the names of its peers."""

import os
import socket

from kokki import *

hostname = env.config.base.hostname or socket.gethostname()

if os.path.isdir("/etc/cloud/cloud.cfg.d"):
    File("/etc/cloud/cloud.cfg.d/99-deploymachine.cfg", content=StaticFile("base/cloud.cfg"), mode=0o644)
File("/etc/hostname", content=hostname + "\n", mode=0o644)
Execute(
    "hostname --file /etc/hostname",
    not_if=lambda: socket.gethostname() == hostname,
)
File("/etc/hosts", content=Template("base/hosts.j2", {"hostname": hostname}), mode=0o644)
