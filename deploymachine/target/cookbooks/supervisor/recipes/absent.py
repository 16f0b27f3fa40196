"""supervisord where it has no program left to run: it stops, and stays so."""

from kokki import *

Service("supervisor", action="stop", enabled=False)
