"""sshd: another port, keys only, nobody but the deploy user; checked before it takes effect."""

import os

from kokki import *

SOCKET = "/etc/systemd/system/sockets.target.wants/ssh.socket"

if os.path.lexists(SOCKET):
    # Ubuntu lets systemd listen on sshd's behalf, at ports that sshd_config then has no say in.
    Execute(
        "systemctl disable --now ssh.socket && systemctl enable --now ssh.service",
        only_if=lambda: os.path.lexists(SOCKET),
    )

sshd = Service("ssh", action="start", enabled=True, reload_command="sshd -t && systemctl reload ssh.service")
# sshd takes the first value it meets: 10 comes before what images and cloud-init leave in this directory.
File(
    "/etc/ssh/sshd_config.d/10-deploymachine.conf",
    content=Template("base/sshd.conf.j2"),
    mode=0o600,
    validate="sshd -t -f %s",
    notifies=[("reload", sshd)],
)
