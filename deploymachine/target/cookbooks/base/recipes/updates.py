"""Security updates come in by themselves, every day; where one wants a reboot it is done when a time is set."""

from kokki import *

File("/etc/apt/apt.conf.d/20auto-upgrades", content=StaticFile("base/auto-upgrades"), mode=0o644)
File("/etc/apt/apt.conf.d/52deploymachine", content=Template("base/unattended-upgrades.j2"), mode=0o644)
Directory("/etc/needrestart/conf.d", recursive=True, mode=0o755)
File("/etc/needrestart/conf.d/deploymachine.conf", content=Template("base/needrestart.j2"), mode=0o644)
for unit in ("cron", "unattended-upgrades.service", "apt-daily.timer", "apt-daily-upgrade.timer"):
    Service(unit, action="start", enabled=True)
# cron has debsums compare every installed file with its package, once a week.
Line("CRON_CHECK=weekly", path="/etc/default/debsums", match="^CRON_CHECK=")
