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
Execute(
    "the deploy user's password does not end: it would close the door for its keys, too",
    command=["chage", "--mindays", "0", "--maxdays", "-1", base.deploy_username],
    not_if=lambda: env.cookbooks.base.password_stays(base.deploy_username),
)
Directory(home, owner=base.deploy_username, group=base.deploy_username, mode=0o700)
Directory(f"{home}/.ssh", owner=base.deploy_username, group=base.deploy_username, mode=0o700)
File(
    f"{home}/.ssh/authorized_keys",
    content="".join(f"{key.strip()}\n" for key in base.admin_keys),
    owner=base.deploy_username,
    group=base.deploy_username,
    mode=0o600,
)
