"""rsync, for files that move from one server to another. No daemon of it runs."""

from kokki import *

Package("rsync")
