"""pgBackRest beside PostgreSQL; nothing of it on a server that another has taken over from."""

from kokki import *

if not env.cookbook("postgresql").is_retired():
    env.include_recipe("pgbackrest.backups")
