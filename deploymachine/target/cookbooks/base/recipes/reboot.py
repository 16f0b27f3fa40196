"""Reboot, in a moment: the run that asks for it ends in good order first."""

from kokki import *

Execute("reboot", command=["systemd-run", "--quiet", "--on-active=1", "systemctl", "reboot"])
