"""What only root has to read."""

import os

from kokki import *

CRONTAB = "/etc/crontab"

for name in ("cron.d", "cron.daily", "cron.hourly", "cron.weekly", "cron.monthly"):
    Directory(f"/etc/{name}", mode=0o700)
File(CRONTAB, mode=0o600, only_if=lambda: os.path.exists(CRONTAB))
