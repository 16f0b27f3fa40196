"""PostgreSQL where no site's data are kept any more: it stops, and stays so; what it holds is left on disk."""

from kokki import *

postgresql = env.cookbooks.postgresql
postgresql.refuse_to_leave_alone()
for version in postgresql.versions():
    File(
        f"/etc/postgresql/{version}/main/start.conf",
        content=postgresql.ENDED,
        owner="postgres",
        group="postgres",
        mode=0o644,
    )
    Service(f"postgresql@{version}-main", action="stop")
Service("postgresql", action="stop", enabled=False)
env.include_recipe("postgresql.never_outdated")
