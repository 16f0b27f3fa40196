"""A loadbalancer that takes its certificates from the one that gets them: at once, and every few minutes a look."""

from kokki import *

NAME = "deploymachine-certificates-fetch"

env.include_recipe("certbot.not_leader")
service = SystemdUnit(f"{NAME}.service", content=StaticFile("certbot/fetch.service"))
timer = SystemdUnit(f"{NAME}.timer", content=StaticFile("certbot/fetch.timer"))
Service(f"{NAME}.timer", action="start", enabled=True, subscribes=[("restart", timer)])
