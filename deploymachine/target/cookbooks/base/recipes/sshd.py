"""sshd: another port, keys only, nobody but the deploy user; checked before it takes effect."""

import os

from kokki import *

SOCKET = "/etc/systemd/system/sockets.target.wants/ssh.socket"
MODULI = "/etc/ssh/moduli"
BITS = {"ed25519": [], "rsa": ["-b", "4096"]}
ours = env.cookbooks.base

if os.path.lexists(SOCKET):
    # Ubuntu lets systemd listen on sshd's behalf, at ports that sshd_config then has no say in.
    Execute(
        "systemctl disable --now ssh.socket && systemctl enable --now ssh.service",
        only_if=lambda: os.path.lexists(SOCKET),
    )

sshd = Service("ssh", action="start", enabled=True, reload_command="sshd -t && systemctl reload ssh.service")
host_keys = [f"/etc/ssh/ssh_host_{kind}_key" for kind in ours.host_keys(env)]
for kind, path in zip(ours.host_keys(env), host_keys):  # noqa: B905 - Python 3.9 has no `strict`
    make = ["ssh-keygen", "-q", "-t", kind, *BITS[kind], "-N", "", "-C", "", "-f", path]
    Execute(f"{kind} host key", command=make, creates=path)
if "rsa" in ours.host_keys(env):
    # An image's own is too short. It is not the one that clients know the server by.
    Execute(
        "longer RSA host key",
        command=f"ssh-keygen -q -t rsa -b 4096 -N '' -C '' -f {host_keys[-1]}.new"
        f" && mv {host_keys[-1]}.new.pub {host_keys[-1]}.pub && mv {host_keys[-1]}.new {host_keys[-1]}",
        not_if=lambda: os.path.getsize(host_keys[-1]) > 3000,
        notifies=[("reload", sshd)],
    )
    Execute(
        "strong moduli",
        command=f"awk '$5 >= 3071' {MODULI} > {MODULI}.new && mv {MODULI}.new {MODULI}",
        only_if=lambda: ours.weak_moduli(MODULI),
    )
exempt = ours.never_banned(env) if ours.punishes_sources() else []
# sshd takes the first value it meets: 10 comes before what images and cloud-init leave in this directory.
File(
    "/etc/ssh/sshd_config.d/10-deploymachine.conf",
    content=Template("base/sshd.conf.j2", {"host_keys": host_keys, "offers": ours.offers(env), "exempt": exempt}),
    mode=0o600,
    validate="sshd -t -f %s",
    notifies=[("reload", sshd)],
)
File("/etc/ssh/sshd_config", mode=0o600)
