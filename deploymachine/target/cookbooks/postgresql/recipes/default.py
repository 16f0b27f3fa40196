"""PostgreSQL, configured by files of ours beside Debian's, and what it shall hold."""

from kokki import *

postgresql = env.cookbooks.postgresql
version = env.config.postgresql.version or postgresql.version()


def configure(name, template, **variables):
    content = Template(f"postgresql/{template}.j2", variables)
    return File(
        f"/etc/postgresql/{version}/main/{name}", content=content, owner="postgres", group="postgres", mode=0o640
    )


Package(f"postgresql-{version}")
# What is read at the start only stands in a file of its own, so that everything else takes effect without a restart.
at_start = configure("conf.d/deploymachine-start.conf", "start.conf", memory_mb=postgresql.memory_mb(env))
running = configure("conf.d/deploymachine.conf", "running.conf", memory_mb=postgresql.memory_mb(env))
clients = configure("pg_hba.conf", "pg_hba.conf", host=postgresql.host)

# An address that is not there yet when PostgreSQL starts is left out, without another word.
Directory("/etc/systemd/system/postgresql@.service.d", mode=0o755)
File(
    "/etc/systemd/system/postgresql@.service.d/deploymachine.conf",
    content=StaticFile("postgresql/network-online.conf"),
    mode=0o644,
)
Service("postgresql", enabled=True)
Service(
    f"postgresql@{version}-main",
    action="start",
    subscribes=[("restart", at_start), ("reload", running), ("reload", clients)],
)
env.include_recipe("postgresql.contents")
