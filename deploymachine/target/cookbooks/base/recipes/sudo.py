"""sudo: the deploy user, with its password. What images let their own user do without one ends."""

from kokki import *

File(
    "/etc/sudoers.d/10-deploymachine",
    content=f"# deploymachine: base.sudo\n{env.config.base.deploy_username} ALL=(ALL:ALL) ALL\n",
    mode=0o440,
    validate="visudo -c -q -f %s",
)
File("/etc/sudoers.d/90-cloud-init-users", action="delete")
Directory("/etc/sudoers.d", mode=0o750)
