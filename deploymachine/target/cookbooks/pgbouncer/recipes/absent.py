"""pgbouncer where no site asks it any more: it stops, and the passwords that it knew go."""

from kokki import *

Service("pgbouncer", action="stop", enabled=False)
for name in ("userlist.txt", "running.ini"):
    File(f"/etc/pgbouncer/{name}", action="delete", backup=False)
