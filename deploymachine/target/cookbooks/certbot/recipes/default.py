"""A certificate for each site: got here by certbot, or taken from the loadbalancer that gets them for all."""

import json

from kokki import *

config = env.config.certbot
PLACE = "/etc/deploymachine/certificates"

Directory("/etc/deploymachine", mode=0o755)
Directory(PLACE, mode=0o700)
Directory("/usr/local/lib/deploymachine", mode=0o755)
File("/usr/local/lib/deploymachine/certificates", content=StaticFile("certbot/certificates"), mode=0o755)
known = {
    "sites": sorted(config.sites),
    "followers": config.followers,
    "leader": {**config.leader, "port": config.port} if config.leader else None,
}
File(f"{PLACE}/settings.json", content=json.dumps(known, indent=1, sort_keys=True) + "\n", mode=0o644)
if config.identity:
    File(f"{PLACE}/authority.pem", content=config.identity["authority"], mode=0o644)
    File(f"{PLACE}/server.pem", content=config.identity["certificate"], mode=0o644)
    File(f"{PLACE}/server.key", content=config.identity["key"], mode=0o600, backup=False)
env.include_recipe("certbot.follower" if config.leader else "certbot.leader")
