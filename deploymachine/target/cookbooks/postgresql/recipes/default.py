"""PostgreSQL, configured by files of ours beside Debian's, and what it shall hold."""

from kokki import *

postgresql = env.cookbooks.postgresql
version = env.config.postgresql.version or postgresql.version()
etc = f"/etc/postgresql/{version}/main"
unit = f"postgresql@{version}-main"

Package(f"postgresql-{version}")
Service("postgresql", action="start", enabled=True)
service = Service(unit, action="start")


def configure(name, template, then, **variables):
    content = Template(f"postgresql/{template}.j2", variables)
    File(f"{etc}/{name}", content=content, owner="postgres", group="postgres", mode=0o640, notifies=[(then, service)])


# What is read at the start only stands in a file of its own, so that everything else takes effect without a restart.
configure("conf.d/deploymachine-start.conf", "start.conf", "restart", memory_mb=postgresql.memory_mb(env))
configure("conf.d/deploymachine.conf", "running.conf", "reload", memory_mb=postgresql.memory_mb(env))
configure("pg_hba.conf", "pg_hba.conf", "reload", host=postgresql.host)

env.include_recipe("postgresql.contents")
