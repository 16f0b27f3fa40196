"""Nobody else has these databases, or this server has none: nothing looks for whoever might have taken them over."""

from kokki import *

Service("deploymachine-postgresql-outdated.timer", action="stop", enabled=False)
for unit in (
    "postgresql@.service.d/deploymachine-outdated.conf",
    "deploymachine-postgresql-outdated.service",
    "deploymachine-postgresql-outdated.timer",
):
    SystemdUnit(unit, action="delete", backup=False)
