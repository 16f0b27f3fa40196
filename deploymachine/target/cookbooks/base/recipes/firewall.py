"""nftables: what is not declared does not come in. One table of ours, replaced in one step; connections live on."""

from kokki import *

DIRECTORY = "/usr/local/lib/deploymachine"
rules = env.cookbooks.base.firewall_lines(env.config.base.firewall_rules)

configuration = File(  # its package comes with base.packages
    "/etc/nftables.conf",
    content=Template("base/nftables.conf.j2", {"rules": rules}),
    mode=0o600,
    validate="nft -c -f %s",
)
Directory(DIRECTORY, mode=0o755)
File(f"{DIRECTORY}/firewall-reload", content=StaticFile("base/firewall-reload"), mode=0o755)
SystemdUnit("nftables.service.d/deploymachine.conf", content=StaticFile("base/firewall-unit.conf"))
Service("nftables", action="start", enabled=True, subscribes=[("reload", configuration)])
