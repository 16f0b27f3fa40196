"""Where pip and uv find packages, and whom they trust there: the system's authorities, ours among them."""

from kokki import *

File("/etc/pip.conf", content=Template("base/pip.conf.j2"), mode=0o644)
