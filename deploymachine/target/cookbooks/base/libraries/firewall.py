"""Firewall rules as settings tell them in, lines of nftables out."""

import ipaddress

COMMENT_MAX = 120  # bytes; nft takes 128


def firewall_lines(rules):
    """[{port, protocol, sources, comment}] -> nft rules. Addresses of both families may stand in one rule."""
    return [line for rule in rules for line in _lines(rule)]


def _lines(rule):
    accept = f"{rule.get('protocol', 'tcp')} dport {int(rule['port'])} accept{_comment(rule.get('comment', ''))}"
    if not rule["sources"]:
        return [accept]
    networks = sorted(
        {ipaddress.ip_network(source, strict=False) for source in rule["sources"]}, key=lambda n: (n.version, n)
    )
    families = (("ip", [n for n in networks if n.version == 4]), ("ip6", [n for n in networks if n.version == 6]))
    return [f"{family} saddr {{ {_listed(found)} }} {accept}" for family, found in families if found]


def _listed(networks):
    # Networks that overlap can't stand in one nft set.
    merged = ipaddress.collapse_addresses(networks)
    return ", ".join(str(n.network_address) if n.num_addresses == 1 else str(n) for n in merged)


def _comment(text):
    plain = (
        "".join(c if c.isprintable() and c not in '"\\' else " " for c in text)
        .encode()[:COMMENT_MAX]
        .decode(errors="ignore")
    )
    return f' comment "{plain}"' if plain.strip() else ""
