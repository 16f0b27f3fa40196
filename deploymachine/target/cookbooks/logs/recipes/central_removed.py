"""Nothing is left of the logs of others."""

from kokki import *

env.include_recipe("logs.central_absent")
for kind in ("timer", "service"):
    SystemdUnit(f"deploymachine-log-retention.{kind}", action="delete", backup=False)
File("/usr/local/lib/deploymachine/log-retention", action="delete", backup=False)
Directory("/var/log/servers", action="delete", recursive=True)
