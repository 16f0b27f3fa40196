"""No backup begins here any more; those that there are stay, and can be restored from."""

from kokki import *

Service("deploymachine-backup.timer", action="stop", enabled=False)
Service("deploymachine-restore-drill", action="stop")
