"""The dbserver: PostgreSQL as Debian packages it, for exactly the roles, databases and clients that are named."""

__description__ = "PostgreSQL: tuned to the machine, TLS, roles and databases, who may connect"
__config__ = {
    "postgresql.version": {"description": "Major version; None: the one that Debian chose", "default": None},
    "postgresql.roles": {"description": "name -> password of every login role", "default": {}},
    "postgresql.databases": {"description": "What is stored: [{name, owner}]", "default": []},
    "postgresql.clients": {"description": "Who may connect: [{database, user, address}]", "default": []},
    "postgresql.listen_addresses": {"description": "Addresses to listen on, besides the loopback", "default": []},
    "postgresql.port": {"description": "Where it listens", "default": 5432},
    "postgresql.memory_mb": {"description": "Memory to be tuned to, MiB; None: what the machine has", "default": None},
    "postgresql.max_connections": {"description": "Connections at once", "default": 100},
    "postgresql.settings": {
        "description": "Further settings of postgresql.conf, name -> value; they win",
        "default": {},
    },
}
