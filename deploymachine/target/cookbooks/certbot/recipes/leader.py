"""The loadbalancer that answers for all: certbot gets a certificate for each site and renews it, nginx takes it."""

import json
import os

from kokki import *

config, certbot = env.config.certbot, env.cookbooks.certbot
WANTED = certbot.WANTED
CA = "/etc/deploymachine/certificates/directory.pem"

Package("certbot")
if config.ca:
    File(CA, content=config.ca, mode=0o644)
environment = {"REQUESTS_CA_BUNDLE": CA} if config.ca else {}
SystemdUnit("certbot.service.d/deploymachine.conf", content=Template("certbot/certbot.conf.j2", {"env_": environment}))
Service("certbot.timer", action="start", enabled=True)

Directory("/etc/letsencrypt", mode=0o755)
Directory(WANTED, mode=0o755)
for site, domains in config.sites.items():
    request = json.dumps({"domains": domains, "directory": config.directory}, indent=1) + "\n"
    File(f"{WANTED}/{site}.json", content=request, mode=0o644)
    # Where it fails (the names do not lead here yet) the certificate of before serves on; the next run tries again.
    Execute(
        f"certificate of {site}",
        command=certbot.obtain(site, domains, config),
        environment=environment,
        not_if=lambda site=site: certbot.is_settled(site),
        timeout=300,
        ignore_failures=True,
    )
    Execute(
        f"take in the certificate of {site}",
        command=["/usr/local/lib/deploymachine/certificates", "install", site],
        only_if=lambda site=site: certbot.is_waiting(site),
    )
certbot.forget_others(config.sites)

shared = bool(config.followers)
units = [
    SystemdUnit(f"deploymachine-certificates{suffix}", content=Template(f"certbot/share{suffix}.j2"))
    for suffix in (".socket", "@.service")
    if shared
]
if shared:
    subscribes = [("restart", units[0])]
    Service("deploymachine-certificates.socket", action="start", enabled=True, subscribes=subscribes)
elif os.path.exists("/etc/systemd/system/deploymachine-certificates.socket"):
    Service("deploymachine-certificates.socket", action="stop", enabled=False)
env.include_recipe("certbot.not_follower")
