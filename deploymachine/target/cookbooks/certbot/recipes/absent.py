"""No site has a certificate by ACME any more: nothing asks for one, fetches one or hands one out."""

from kokki import *

env.include_recipe("certbot.not_leader", "certbot.not_follower")
env.cookbooks.certbot.forget_others([])
for name in ("settings.json", "server.key"):
    File(f"/etc/deploymachine/certificates/{name}", action="delete", backup=False)
