"""What the console says before a login. sshd says nothing: it would be in the way of every command run over it."""

from kokki import *

for path in ("/etc/issue", "/etc/issue.net"):
    File(path, content=env.config.base.banner + "\n", mode=0o644)
