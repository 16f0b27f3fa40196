"""The way in, and nothing more of a server: who may log in, how, through which port, and as whom they may act then."""

from kokki import *

env.include_recipe("base.users", "base.sshd", "base.firewall")
