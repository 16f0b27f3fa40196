"""The broker: RabbitMQ as the distribution packages it, for the sites' tasks and nobody else."""

__description__ = "RabbitMQ: a vhost and a user for each site, listening where it is told, without guest"
__config__ = {
    "rabbitmq.run": {"description": "Whether it runs here; False: one that ran here is stopped", "default": True},
    "rabbitmq.listen_addresses": {"description": "Addresses to listen on, and nowhere else", "default": ["127.0.0.1"]},
    "rabbitmq.port": {"description": "Where it listens", "default": 5672},
    "rabbitmq.identity": {
        "description": "What it proves who it is with, PEM: {authority, certificate, key}; None: it speaks no TLS",
        "default": None,
    },
    "rabbitmq.users": {"description": "name -> password; None: there is no such user", "default": {}},
    "rabbitmq.vhosts": {"description": "user -> its vhost, where that has another name", "default": {}},
    "rabbitmq.memory_mb": {"description": "The machine's memory, MiB; None: what is seen there", "default": None},
    "rabbitmq.memory_share": {"description": "The part of it that messages may take", "default": 0.4},
    "rabbitmq.disk_free_mb": {"description": "Free disk below which it takes no more messages, MiB", "default": 500},
    "rabbitmq.settings": {"description": "Further lines of rabbitmq.conf, name -> value; they win", "default": {}},
}
