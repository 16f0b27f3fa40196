"""Redis where it is not wanted any more: it stops, and stays so; what it wrote to disk is left."""

from kokki import *

Service("redis-server", action="stop", enabled=False)
