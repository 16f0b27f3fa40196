"""Who is never banned, and what this machine's sshd knows, out of settings and what is installed."""

import ipaddress
import os

from kokki import *

SINCE_PENALTIES = "/usr/lib/openssh/sshd-session"  # OpenSSH 9.8 brought both


def never_banned(env):
    """The server itself, its peers, and what base.fail2ban_ignore says: addresses and networks, sorted."""
    base = env.config.base
    told = ["127.0.0.0/8", "::1", *base.hosts.values(), *base.fail2ban_ignore]
    try:
        networks = {ipaddress.ip_network(address, strict=False) for address in told}
    except ValueError as error:
        raise Fail(f"base.fail2ban_ignore: {error}", hint="write 192.0.2.7 or 192.0.2.0/24") from None
    return [str(network) for network in sorted(networks, key=lambda n: (n.version, n))]


def punishes_sources():
    """Whether sshd is new enough to hold failures against an address by itself."""
    return os.path.exists(SINCE_PENALTIES)
