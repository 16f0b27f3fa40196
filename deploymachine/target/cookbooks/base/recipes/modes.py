"""What only root has to read."""

from kokki import *

for name in ("cron.d", "cron.daily", "cron.hourly", "cron.weekly", "cron.monthly"):
    Directory(f"/etc/{name}", mode=0o700)
File("/etc/crontab", mode=0o600, only_if="test -e /etc/crontab")
