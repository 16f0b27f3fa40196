"""Roles and databases. What is not named any more stays: data is removed by people."""

from kokki import *

library, config = env.cookbooks.postgresql, env.config.postgresql

if config.replication_password:
    library.PostgresqlRole("replication", password=config.replication_password, replication=True)
library.PostgresqlSlots("replicas", slots=[replica["slot"] for replica in config.replicas])
# Those first that others act as.
for name, password in sorted(config.roles.items(), key=lambda role: role[0] in config.acting):
    library.PostgresqlRole(name, password=password, acts_as=config.acting.get(name))
for database in config.databases:
    library.PostgresqlDatabase(database["name"], owner=database["owner"])
    if database.get("postgis"):
        library.PostgresqlExtension(f"{database['name']}/postgis")
