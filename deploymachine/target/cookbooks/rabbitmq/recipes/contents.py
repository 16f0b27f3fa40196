"""A vhost and a user for each site; those of sites that are gone stay until people remove them, guest does not."""

from kokki import *

library, config = env.cookbooks.rabbitmq, env.config.rabbitmq

for name, password in config.users.items():
    library.RabbitmqUser(name, password=password)
if "guest" not in config.users:
    library.RabbitmqUser("guest", action="delete")
