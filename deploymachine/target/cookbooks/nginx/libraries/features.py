"""What this server's nginx, OpenSSL and kernel can do."""

import functools
import os
import re
import subprocess

from kokki.paths import system_path

CURVES = ["X25519", "prime256v1", "secp384r1"]
HYBRID = "?X25519MLKEM768"  # safe also from who records today and has a quantum computer later


def features():
    """What the templates ask of it; known when nginx is installed, which may be in the same run."""
    return {
        "curves": curves(),
        "has_ipv6": has_ipv6(),
        "http2": http2(),
        "nameservers": nameservers(),
        "rejects_handshakes": rejects_handshakes(),
    }


@functools.cache
def version():
    """nginx's version as a tuple; a high one where it is not installed yet."""
    try:
        told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return (99,)
    return tuple(int(number) for number in re.search(r"/([\d.]+)", told)[1].split("."))


def http2():
    """How HTTP/2 is said: as a directive of its own, or, before nginx 1.25.1, as a word of `listen`."""
    new = version() >= (1, 25, 1)
    return {"directive": "http2 on;" if new else "", "listen": "" if new else " http2"}


def rejects_handshakes():
    return version() >= (1, 19, 4)


def openssl():
    """The version of the system's OpenSSL, which Python and nginx share."""
    import ssl

    return ssl.OPENSSL_VERSION_INFO[:2]


def curves():
    """What `ssl_ecdh_curve` takes: nginx does not start with one that OpenSSL doesn't know."""
    return ":".join([HYBRID] * (openssl() >= (3, 5)) + CURVES)


def nameservers():
    """Those of this server, as nginx writes them."""
    try:
        with open(system_path("/etc/resolv.conf"), encoding="utf-8") as file:
            words = [line.split() for line in file]
    except OSError:
        return []
    found = [line[1] for line in words if line[:1] == ["nameserver"] and len(line) > 1 and "%" not in line[1]]
    return [f"[{address}]" if ":" in address else address for address in found]


def has_ipv6():
    return os.path.exists("/proc/net/if_inet6")


def quoted(text):
    """As one word of nginx's configuration, whatever stands in it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_html(text):
    """As text of a page that can be nothing else."""
    import html

    return html.escape(text)
