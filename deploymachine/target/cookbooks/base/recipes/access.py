"""The way in, and nothing more of a server: who may log in, how, and through which port."""

from kokki import *

env.include_recipe("base.deploy_user", "base.sshd", "base.firewall")
