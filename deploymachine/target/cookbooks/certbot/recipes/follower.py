"""A loadbalancer that takes its certificates from the one that gets them: at once, and every few minutes a look."""

import os

from kokki import *

NAME = "deploymachine-certificates-fetch"

for name in ("certbot.timer", "deploymachine-certificates.socket"):  # it may have been the first itself
    if any(os.path.exists(f"{folder}/systemd/system/{name}") for folder in ("/etc", "/usr/lib", "/lib")):
        Service(name, action="stop", enabled=False)
service = SystemdUnit(f"{NAME}.service", content=StaticFile("certbot/fetch.service"))
timer = SystemdUnit(f"{NAME}.timer", content=StaticFile("certbot/fetch.timer"))
Service(f"{NAME}.timer", action="start", enabled=True, subscribes=[("restart", timer)])
