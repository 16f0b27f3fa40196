"""What every server has: logs that can't fill its disk, and rsyslog where there is somebody to send them to."""

from kokki import *

env.include_recipe("logs.limits", "logs.rsyslog")
