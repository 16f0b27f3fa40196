"""The time zone, and a clock kept right where it is ours to set."""

import os

from kokki import *

File("/etc/timezone", content=env.config.base.timezone + "\n", mode=0o644)
Package("tzdata")
Link("/etc/localtime", to=f"/usr/share/zoneinfo/{env.config.base.timezone}")

# A container has its host's clock; a server with another time daemon keeps that one.
others = ["/usr/sbin/chronyd", "/usr/sbin/ntpd"]
if not env.cookbooks.base.in_container() and not any(map(os.path.exists, others)):
    Package("systemd-timesyncd")
    Service("systemd-timesyncd", action="start", enabled=True)
