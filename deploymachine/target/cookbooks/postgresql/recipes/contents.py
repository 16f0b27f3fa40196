"""Roles and databases. What is not named any more stays: data is removed by people."""

from kokki import *

library, config = env.cookbooks.postgresql, env.config.postgresql

for name, password in config.roles.items():
    library.PostgresqlRole(name, password=password)
for database in config.databases:
    library.PostgresqlDatabase(database["name"], owner=database["owner"])
