"""What apt needs before it can fetch anything: the proxy, and authorities to trust."""

from kokki import *

base = env.config.base
AUTHORITIES = "/usr/local/share/ca-certificates/deploymachine"

File(
    "/etc/apt/apt.conf.d/01deploymachine-proxy",
    action="create" if base.apt_proxy else "delete",
    content=Template("base/apt-proxy.j2"),
)

trust = Execute(
    "update-ca-certificates",
    action="nothing",
    only_if="command -v update-ca-certificates",  # where it is missing, its package does this on arrival
)
Directory(AUTHORITIES, mode=0o755)
for name, certificate in sorted(base.ca_certificates.items()):
    File(f"{AUTHORITIES}/{name}", content=certificate, mode=0o644, notifies=[("run", trust, True)])
for path in env.cookbooks.base.strangers(AUTHORITIES, "*.crt", base.ca_certificates):
    File(path, action="delete", notifies=[("run", trust, True)])
