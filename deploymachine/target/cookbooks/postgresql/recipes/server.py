"""The server: tuned to the machine, proving its name over TLS, letting in those who are named, in a closed unit."""

from kokki import *
from kokki.secrets import Secret

config, postgresql = env.config.postgresql, env.cookbooks.postgresql
version = config.version or postgresql.version()
CONFIGURATION = f"/etc/postgresql/{version}/main"
TLS = "/etc/postgresql/tls"
PASSFILE = "/var/lib/postgresql/.replication"
postgresql.refuse_to_change_sides(config, version)


def configure(name, template, **variables):
    content = Template(f"postgresql/{template}.j2", variables)
    return File(f"{CONFIGURATION}/{name}", content=content, owner="postgres", group="postgres", mode=0o640)


Package(f"postgresql-{version}")
if any(database.get("postgis") for database in config.databases):
    Package(f"postgresql-{version}-postgis-3")
identity = []
if config.identity:
    Directory(TLS, mode=0o755)
    identity = [
        File(f"{TLS}/authority.pem", content=config.identity["authority"], mode=0o644),
        File(f"{TLS}/server.pem", content=config.identity["certificate"], mode=0o644),
        File(f"{TLS}/server.key", content=config.identity["key"], group="postgres", mode=0o640, backup=False),
    ]
# What is read at the start only stands in a file of its own, so that everything else takes effect without a restart.
at_start = configure("conf.d/deploymachine-start.conf", "start.conf", tuned=postgresql.at_start(env))
running = configure(
    "conf.d/deploymachine.conf", "running.conf", tuned=postgresql.running(env), tls=TLS, passfile=PASSFILE
)
clients = configure("pg_hba.conf", "pg_hba.conf", **postgresql.who_may_connect(config))
if config.replication_password:
    password = Secret(f"*:*:*:replication:{config.replication_password}\n")
    File(PASSFILE, content=password, owner="postgres", group="postgres", mode=0o600, backup=False)
if config.primary:
    postgresql.PostgresqlCopy(
        postgresql.data(version), primary=config.primary, slot=config.slot, tls=TLS, passfile=PASSFILE
    )
else:
    # Only a cluster that does not run can be given them: one that was used before is left as it is.
    Execute(
        "data checksums",
        command=[f"/usr/lib/postgresql/{version}/bin/pg_checksums", "--enable", "-D", postgresql.data(version)],
        user="postgres",
        cwd="/",
        returns=[0, 1],  # 1: it has them already
        not_if=lambda: postgresql.was_used(postgresql.data(version)),
    )
unit = SystemdUnit(
    "postgresql@.service.d/deploymachine.conf",
    content=Template("postgresql/unit.conf.j2", {"writes": postgresql.writes(env)}),
)
SystemdUnit("postgresql@.service.d/deploymachine-retired.conf", content=StaticFile("postgresql/retired.conf"))
env.include_recipe("postgresql.outdated")
if postgresql.was_ended(version):  # by `absent`: this server keeps databases again
    start = "# deploymachine\nauto\n"
    File(f"{CONFIGURATION}/start.conf", content=start, owner="postgres", group="postgres", mode=0o644)
Service("postgresql", enabled=True)
Service(
    f"postgresql@{version}-main",
    action="start",
    subscribes=[
        ("restart", at_start),
        ("restart", unit),
        *(("reload", changed) for changed in (running, clients, *identity)),
    ],
)
