"""RabbitMQ where it is wanted; where it is not, one that ran here earlier is stopped."""

import os

from kokki import *

if env.config.rabbitmq.run:
    env.include_recipe("rabbitmq.server", "rabbitmq.contents")
elif os.path.exists("/etc/rabbitmq/rabbitmq.conf"):
    env.include_recipe("rabbitmq.absent")
