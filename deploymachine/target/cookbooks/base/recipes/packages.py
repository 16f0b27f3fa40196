"""The packages every server has, in one transaction. They bring users and units of their own: before the way in."""

from kokki import *

env.include_recipe("base.apt")

ACCESS = ["nftables", "openssh-server", "sudo"]
BANS = ["fail2ban", "python3-systemd"]
UPDATES = ["unattended-upgrades", "needrestart", "apt-listchanges", "cron", "debsums"]
LOGINS = ["libpam-pwquality", "libpam-tmpdir"]

for package in [*ACCESS, *BANS, *UPDATES, *LOGINS, *env.config.base.packages]:
    Package(package)
