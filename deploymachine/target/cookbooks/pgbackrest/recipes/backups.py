"""Every change is archived at once, and a base backup made each day."""

from kokki import *

env.include_recipe("postgresql")
library = env.cookbooks.pgbackrest
config, postgresql = env.config.postgresql, env.cookbooks.postgresql
version = config.version or postgresql.version()
DIRECTORY, OURS = "/usr/local/lib/deploymachine", "/etc/pgbackrest"

Package("pgbackrest")
Directory(config.backup.path, owner="postgres", group="postgres", mode=0o750, recursive=True)
Directory(OURS, mode=0o755)
File(
    f"{OURS}/pgbackrest.conf",
    content=Template("pgbackrest/pgbackrest.conf.j2", {"data": postgresql.data(version), "cpus": env.system.cpus}),
    group="postgres",
    mode=0o640,
    backup=False,  # it may hold secrets
)
begins = []
if not config.primary:  # a replica has none of its own
    begins.append(library.Stanza("main"))
File(
    f"/etc/postgresql/{version}/main/conf.d/pgbackrest.conf",
    content=Template("pgbackrest/archive.conf.j2"),
    owner="postgres",
    group="postgres",
    mode=0o640,
    notifies=[("reload", env.resources["Service"][f"postgresql@{version}-main"])],
)

Directory(DIRECTORY, mode=0o755)
full_days = config.backup.full_days
for program, unit, command, leaves in (
    ("postgresql-backup", "deploymachine-backup@", f"%i --full-days {full_days}", ""),
    ("postgresql-drill", "deploymachine-restore-drill", f"--version {version}", "/var/lib/postgresql/restore-drill"),
):
    File(f"{DIRECTORY}/{program}", content=StaticFile(f"pgbackrest/{program}"), mode=0o755)
    variables = {"command": f"{DIRECTORY}/{program} {command}", "leaves": leaves, "version": version}
    SystemdUnit(f"{unit}.service", content=Template("pgbackrest/service.j2", variables))
SystemdUnit("deploymachine-restore-drill-left.service", content=StaticFile("pgbackrest/drill-left.service"))
timer = SystemdUnit("deploymachine-backup.timer", content=Template("pgbackrest/timer.j2"))
# Started anew it makes the first backup soon, also on a server that leads from now on.
begins.append(timer)
Service(
    "deploymachine-backup.timer",
    action="start",
    enabled=True,
    subscribes=[("restart", begin) for begin in begins],
)
