"""What takes certificates from another loadbalancer goes where this one gets them itself."""

import os

from kokki import *

NAME = "deploymachine-certificates-fetch"

if os.path.exists(f"/etc/systemd/system/{NAME}.timer"):
    Service(f"{NAME}.timer", action="stop", enabled=False)
    for kind in ("timer", "service"):
        SystemdUnit(f"{NAME}.{kind}", action="delete")
