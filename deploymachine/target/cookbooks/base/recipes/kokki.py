"""The engine as a command, for whoever works on the server itself."""

from kokki import *

File("/usr/local/sbin/kokki", content=StaticFile("base/kokki"), owner="root", group="root", mode=0o755)
