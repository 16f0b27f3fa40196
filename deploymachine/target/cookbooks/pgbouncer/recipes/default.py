"""pgbouncer for the sites of this server. It is told anew by a reload, which disconnects nobody."""

import os

from kokki import *

FOLDER, USER = "/etc/pgbouncer", "pgbouncer"
config, library = env.config.pgbouncer, env.cookbooks.pgbouncer


def told(name, content):
    return File(f"{FOLDER}/{name}", content=content, owner="root", group=USER, mode=0o640, backup=False)


if config.databases:
    # Not postgres, as the package has it: on a server that keeps databases, too, that user is their master.
    User(USER, system=True, home="/nonexistent", shell="/usr/sbin/nologin")  # noqa: S604 - nobody logs in, no subprocess
    Package("pgbouncer")
    Package("postgresql-client")
    Directory(FOLDER, mode=0o755)
    at_start = told("pgbouncer.ini", Template("pgbouncer/pgbouncer.ini.j2", {"folder": FOLDER}))
    running = [
        told("running.ini", Template("pgbouncer/running.ini.j2", {"folder": FOLDER})),
        told("userlist.txt", library.userlist(config.passwords)),
    ]
    if config.server:
        running.append(told("authority.pem", config.authority))
    unit = SystemdUnit("pgbouncer.service.d/deploymachine.conf", content=StaticFile("pgbouncer/unit.conf"))
    Service(
        "pgbouncer",
        action="start",
        enabled=True,
        subscribes=[
            ("restart", at_start),
            ("restart", unit),
            *(("reload", changed) for changed in running),
        ],
    )
elif os.path.exists(f"{FOLDER}/running.ini"):
    env.include_recipe("pgbouncer.absent")
