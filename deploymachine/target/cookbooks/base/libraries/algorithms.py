"""What sshd may offer on this release of a distribution: what ssh-audit holds to be hardened there, in its order."""

POST_QUANTUM = ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"]
CURVE25519 = ["curve25519-sha256", "curve25519-sha256@libssh.org"]
GROUPS = ["diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha256"]
KEY_EXCHANGES = {
    "debian 13": POST_QUANTUM,
    "debian 12": [*POST_QUANTUM[1:], *CURVE25519, *GROUPS],
    "ubuntu 24.04": [POST_QUANTUM[2], *CURVE25519, GROUPS[1], GROUPS[2], GROUPS[0]],
    "ubuntu 22.04": [POST_QUANTUM[2], *CURVE25519, *GROUPS],
}
# Of releases that are not in the list: what theirs offers, without what is weak.
WITHOUT_WEAK = "-ecdh-sha2-*,diffie-hellman-group14-*,diffie-hellman-group-exchange-*"
NEEDS_RSA = ("debian 12", "ubuntu 22.04")  # there the list is not full without it
SHORT_MACS_FIRST = ("debian 12", "ubuntu 22.04")
MACS = ["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-128-etm@openssh.com"]


def release(env):
    """The distribution and its version, as "debian 13"."""
    return f"{env.system.platform} {env.system.release.get('VERSION_ID', '')}"


def key_exchanges(env):
    """The value of KexAlgorithms; base.ssh_more_kex comes last."""
    known = KEY_EXCHANGES.get(release(env))
    return ",".join([*known, *env.config.base.ssh_more_kex]) if known else WITHOUT_WEAK


def macs(env):
    """The value of MACs."""
    return ",".join([MACS[1], MACS[0], MACS[2]] if release(env) in SHORT_MACS_FIRST else MACS)


def offers(env):
    """What sshd is to say of them, value by keyword."""
    return {"KexAlgorithms": key_exchanges(env), "MACs": macs(env)}


def host_keys(env):
    """The types of key that this server proves itself with."""
    return ["ed25519", "rsa"] if release(env) in NEEDS_RSA else ["ed25519"]


def weak_moduli(path):
    """Whether a list of moduli for group exchange has some of less than 3072 bits."""
    try:
        with open(path, encoding="ascii") as lines:
            fields = (line.split() for line in lines if not line.startswith("#"))
            return any(int(words[4]) < 3071 for words in fields if len(words) > 4)
    except FileNotFoundError:
        return False
