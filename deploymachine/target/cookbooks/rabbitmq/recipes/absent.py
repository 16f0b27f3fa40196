"""RabbitMQ where it is not wanted any more: it stops, with all that tells of it; its queues stay on disk."""

from kokki import *

Service("rabbitmq-server", action="stop", enabled=False)
Service("epmd.socket", action="stop", enabled=False)
Service("epmd", action="stop")
