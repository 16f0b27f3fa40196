"""What else a cluster holds, as resources: a slot for each replica, an extension of a database."""

from kokki import ForcedListArgument, Provider, Resource, ResourceArgument

LOST = ":lost"  # after the name of one whose replica was away for too long: it is of no use to anybody
SLOTS = """SELECT slot_name || CASE wal_status WHEN 'lost' THEN ':lost' ELSE '' END
  FROM pg_replication_slots WHERE slot_type = 'physical' AND slot_name LIKE 'dm\\_%' ORDER BY 1;"""
# One that is asked for by who is no replica any more: that one is sent away, and may come again at once.
DROP = """DO $$ BEGIN
  FOR attempt IN 1..50 LOOP
    BEGIN
      PERFORM pg_drop_replication_slot({0});
      RETURN;
    EXCEPTION WHEN object_in_use THEN
      PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = {0};
      PERFORM pg_sleep(0.1);
    END;
  END LOOP;
  PERFORM pg_drop_replication_slot({0});
END $$;"""


class PostgresqlSlots(Resource):
    """slots: one for each replica. Those of replicas that are gone would keep the log for ever: they go.

    One that has lost what it is to keep is made anew, for a replica that is copied afresh.
    """

    slots = ResourceArgument(required=True)
    action = ForcedListArgument(default="create")
    actions = (*Resource.actions, "create")
    provider = "*postgresql.PostgresqlSlotsProvider"


class PostgresqlSlotsProvider(Provider):
    tells_the_future = True

    def action_create(self):
        there = psql(SLOTS, "the replicas' slots").split()
        self.converge({"slots": there}, {"slots": sorted(self.resource.slots)}, lambda _changes: self.write(there))

    def write(self, there):
        for name in sorted({*there} - {*self.resource.slots}):
            psql(DROP.format(literal(name.removesuffix(LOST))), f"slot {name}")
        for name in sorted({*self.resource.slots} - {*there}):
            # true: it keeps the log from now on. What it learns later is lost with the power until the next checkpoint.
            psql(f"SELECT pg_create_physical_replication_slot({literal(name)}, true);", f"slot {name}")

    def describe(self, _key, old, new):
        return f"{', '.join(old) or 'none'} -> {', '.join(new) or 'none'}"


class PostgresqlExtension(Resource):
    """An extension of one database; name: DATABASE/EXTENSION."""

    action = ForcedListArgument(default="create")
    actions = (*Resource.actions, "create")
    provider = "*postgresql.PostgresqlExtensionProvider"


class PostgresqlExtensionProvider(Provider):
    tells_the_future = True

    def action_create(self):
        database, _, extension = self.resource.name.partition("/")
        ask = f"SELECT count(*) FROM pg_extension WHERE extname = {literal(extension)};"  # noqa: S608 - a literal of ours
        # In a dry run an earlier resource may be what makes the database.
        known = database in contents(self)["databases"] or not self.env.dry_run
        there = known and psql(ask, self.resource.name, database).strip() == "1"
        create = f"CREATE EXTENSION {identifier(extension)};"
        self.converge({"there": there}, {"there": True}, lambda _changes: psql(create, self.resource.name, database))

    def describe(self, *_change):
        return "create"
