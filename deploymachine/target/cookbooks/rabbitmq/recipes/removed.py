"""Nothing of RabbitMQ is left: neither the package, nor its users, nor what waited in its queues."""

from kokki import *

env.include_recipe("rabbitmq.absent")
for unit in ("rabbitmq-server.service.d", "epmd.socket.d", "epmd.service.d"):
    SystemdUnit(f"{unit}/deploymachine.conf", action="delete", backup=False)
Package("rabbitmq-server", action="purge")
for path in ("/etc/rabbitmq", "/var/lib/rabbitmq", "/var/log/rabbitmq"):
    Directory(path, action="delete", recursive=True)
