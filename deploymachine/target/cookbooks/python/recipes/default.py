"""What `Virtualenv` needs to be there."""

from kokki import *

for name in env.config.python.packages:
    Package(name)
