"""What apt needs before it can fetch anything: the proxy, and authorities to trust."""

from kokki import *

base = env.config.base
AUTHORITIES = "/usr/local/share/ca-certificates/deploymachine"

File(
    "/etc/apt/apt.conf.d/01deploymachine-proxy",
    action="create" if base.apt_proxy else "delete",
    content=Template("base/apt-proxy.j2"),
)
Package("ca-certificates")
Directory(AUTHORITIES, mode=0o755)
for name, certificate in sorted(base.ca_certificates.items()):
    File(f"{AUTHORITIES}/{name}", content=certificate, mode=0o644)
for path in env.cookbooks.base.strangers(AUTHORITIES, "*.crt", base.ca_certificates):
    File(path, action="delete")
Execute(
    "update-ca-certificates",
    not_if=lambda: env.cookbooks.base.as_new_as("/etc/ssl/certs/ca-certificates.crt", AUTHORITIES),
)
