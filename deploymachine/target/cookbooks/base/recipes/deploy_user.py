"""The one user people log in as: admitted by key, root by password."""

from kokki import *

base = env.config.base
home = f"/home/{base.deploy_username}"
if not base.admin_keys:
    raise Fail("base.admin_keys is empty: nobody could log in any more")

User(  # noqa: S604 - the shell people log in to, no subprocess
    base.deploy_username,
    home=home,
    shell="/bin/bash",
    groups=["sudo"],
    password=base.deploy_password_hash,
)
Directory(f"{home}/.ssh", owner=base.deploy_username, group=base.deploy_username, mode=0o700)
File(
    f"{home}/.ssh/authorized_keys",
    content="".join(f"{key.strip()}\n" for key in base.admin_keys),
    owner=base.deploy_username,
    group=base.deploy_username,
    mode=0o600,
)
