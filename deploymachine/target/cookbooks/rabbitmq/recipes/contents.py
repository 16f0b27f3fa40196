"""A vhost and a user for each site; those of sites that are gone stay until people remove them, guest does not."""

from kokki import *

library, config = env.cookbooks.rabbitmq, env.config.rabbitmq

for name, password in config.users.items():
    if password is None:
        library.RabbitmqUser(name, action="delete")
    else:
        library.RabbitmqUser(name, password=password, vhost=config.vhosts.get(name, name))
if "guest" not in config.users:
    library.RabbitmqUser("guest", action="delete")
