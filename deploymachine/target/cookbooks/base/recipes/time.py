"""The time zone, and a clock kept right where it is ours to set."""

import os

from kokki import *

LOCALTIME = "/etc/localtime"

File("/etc/timezone", content=env.config.base.timezone + "\n", mode=0o644)
Package("tzdata")
if os.path.exists(LOCALTIME) and not os.path.islink(LOCALTIME):
    File(LOCALTIME, action="delete")  # some images have a copy there
Link(LOCALTIME, to=f"/usr/share/zoneinfo/{env.config.base.timezone}")

# A container has its host's clock; a server with another time daemon keeps that one.
others = ["/usr/sbin/chronyd", "/usr/sbin/ntpd"]
if not env.cookbooks.base.in_container() and not any(map(os.path.exists, others)):
    Package("systemd-timesyncd")
    Service("systemd-timesyncd", action="start", enabled=True)
