"""Everything a server has before it becomes something: names and packages first, then the way in, then the rest."""

from kokki import *

env.include_recipe("base.hosts", "base.packages", "base.pip", "base.access", "base.fail2ban")
env.include_recipe("base.kernel", "base.limits", "base.passwords", "base.modes", "base.mounts", "base.banner")
env.include_recipe("base.updates", "base.swap", "base.time", "base.locale", "base.kokki")
if not env.config.base.root_login:
    env.include_recipe("base.close")
