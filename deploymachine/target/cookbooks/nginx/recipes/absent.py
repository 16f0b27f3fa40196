"""nginx where no visitor comes any more: it stops, and nothing asks for certificates here; those that it has stay."""

from kokki import *

Service("nginx", action="stop", enabled=False)
env.include_recipe("certbot.not_leader", "certbot.not_follower")
