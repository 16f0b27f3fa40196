"""deploymachine: from bare cloud machines to a Django service in production, with plain fab commands."""
