"""Roles and databases. What is not named any more stays: data is removed by people."""

from kokki import *

library, config = env.cookbooks.postgresql, env.config.postgresql

if config.replication_password:
    library.PostgresqlRole("replication", password=config.replication_password, replication=True)
library.PostgresqlSlots("replicas", slots=[replica["slot"] for replica in config.replicas])
for name, password in config.roles.items():
    library.PostgresqlRole(name, password=password)
for database in config.databases:
    library.PostgresqlDatabase(database["name"], owner=database["owner"])
    if database.get("postgis"):
        library.PostgresqlExtension(f"{database['name']}/postgis")
