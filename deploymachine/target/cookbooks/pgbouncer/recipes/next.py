"""What pgbouncer will be told once the databases are on another server: beside what it is told now, and not in use."""

from kokki import *

FOLDER, USER = "/etc/pgbouncer", "pgbouncer"
NEXT = f"{FOLDER}/next"
config, library = env.config.pgbouncer, env.cookbooks.pgbouncer


def lies_ready(name, content):
    File(f"{NEXT}/{name}", content=content, owner="root", group=USER, mode=0o640, backup=False)


Directory(NEXT, mode=0o755)
lies_ready("running.ini", Template("pgbouncer/running.ini.j2", {"folder": FOLDER}))
lies_ready("userlist.txt", library.userlist(config.passwords))
lies_ready("authority.pem", config.authority)
