"""The dbserver: PostgreSQL as Debian packages it, for exactly the roles, databases and clients that are named."""

__description__ = "PostgreSQL: tuned to the machine, TLS, roles and databases, who may connect"
__config__ = {
    "postgresql.version": {"description": "Major version; None: the one that Debian chose", "default": None},
    "postgresql.roles": {"description": "name -> password of every login role; None: it has none", "default": {}},
    "postgresql.acting": {
        "description": "login role -> the role it acts as: all it makes is that one's",
        "default": {},
    },
    "postgresql.databases": {"description": "What is stored: [{name, owner, postgis}]", "default": []},
    "postgresql.clients": {
        "description": "Who may connect: [{database, user, address}]; address local: the Unix socket",
        "default": [],
    },
    "postgresql.identity": {
        "description": "What proves this server's name, PEM: {authority, certificate, key}; None: Debian's own",
        "default": None,
    },
    "postgresql.primary": {
        "description": "Whom this server copies: {name, address, port}; None: nobody, it is written to itself",
        "default": None,
    },
    "postgresql.replicas": {"description": "Who may copy this server: [{name, address, slot}]", "default": []},
    "postgresql.replication_password": {"description": "What they log in with", "default": None},
    "postgresql.slot": {"description": "The name under which the primary keeps what is on its way", "default": None},
    "postgresql.slot_keep_mb": {
        "description": "Log that is kept for a replica that is away, MiB; one away for longer starts anew",
        "default": 4096,
    },
    "postgresql.listen_addresses": {"description": "Addresses to listen on, besides the loopback", "default": []},
    "postgresql.port": {"description": "Where it listens", "default": 5432},
    "postgresql.memory_mb": {"description": "Memory to be tuned to, MiB; None: what the machine has", "default": None},
    "postgresql.memory_share": {"description": "The part of it that is PostgreSQL's", "default": 1.0},
    "postgresql.disk": {"description": "ssd or hdd; None: what the kernel says of the data's disk", "default": None},
    "postgresql.max_connections": {"description": "Connections at once", "default": 100},
    "postgresql.statement_timeout": {"description": "After which a statement is ended; 0: never", "default": "5min"},
    "postgresql.idle_in_transaction_timeout": {
        "description": "After which a transaction is ended in which nothing happens; 0: never",
        "default": "5min",
    },
    "postgresql.idle_session_timeout": {
        "description": "After which a connection that nobody uses is ended; 0: never",
        "default": "12h",
    },
    "postgresql.slow_statement": {"description": "From when on a statement is logged; -1: none is", "default": "1s"},
    "postgresql.settings": {
        "description": "Further settings of postgresql.conf, name -> value; they win",
        "default": {},
    },
}
