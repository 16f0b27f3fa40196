"""fail2ban: an address that fails to log in again and again is shut out for a while; peers never are."""

from kokki import *

jail = File(
    "/etc/fail2ban/jail.local",
    content=Template("base/jail.j2", {"ignored": env.cookbooks.base.never_banned(env)}),
    mode=0o644,
)
Service("fail2ban", action="start", enabled=True, subscribes=[("restart", jail)])
