"""Who may log in, and become root then: all that changes when an admin comes or goes."""

from kokki import *

env.include_recipe("base.deploy_user", "base.sudo")
