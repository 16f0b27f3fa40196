"""The packages every server has. Those that the way in needs are here too: they bring users and units of their own."""

from kokki import *

env.include_recipe("base.apt")

for package in ["nftables", "openssh-server", "sudo", *env.config.base.packages]:
    Package(package)
