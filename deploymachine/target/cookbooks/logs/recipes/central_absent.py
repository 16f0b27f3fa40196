"""A server that takes in no logs of others any more: nothing prunes those that it has, which stay."""

from kokki import *

Service("deploymachine-log-retention.timer", action="stop", enabled=False)
