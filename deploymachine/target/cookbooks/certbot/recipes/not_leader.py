"""What gets certificates and hands them out goes where another loadbalancer does that, or none."""

import os

from kokki import *

FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

for name in ("certbot.timer", "deploymachine-certificates.socket"):
    if any(os.path.exists(f"{folder}/{name}") for folder in FOLDERS):
        Service(name, action="stop", enabled=False)
