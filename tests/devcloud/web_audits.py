"""A balancer in, what auditors of its TLS and of nginx's configuration find out: sslyze, testssl.sh and gixy."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fleet import Fleet

PACKAGES = ("sslyze==6.3.1", "gixy-next==0.9.0")  # their rules change with their versions
GRAVE = ("CRITICAL", "HIGH", "MEDIUM", "FATAL")
UNKNOWN = 77
# As it is in the server's own release, made for its OpenSSL; it lies beside everything else, and goes again. What old
# clients would get is left out. It looks up no names, and yet does not start without a program that could.
TESTSSL = f"""
umask 077; rm -rf /tmp/tls; mkdir /tmp/tls; cd /tmp/tls; trap 'rm -rf /tmp/tls' EXIT
apt-get -qq download testssl.sh bsdextrautils 2>/dev/null || exit {UNKNOWN}
for package in *.deb; do dpkg -x "$package" x; done
printf '#!/bin/sh\\nexit 1\\n' > x/usr/bin/nslookup; chmod +x x/usr/bin/nslookup; cat > authority.pem
export PATH=/tmp/tls/x/usr/bin:$PATH TERM=dumb TESTSSL_INSTALL_DIR=/tmp/tls/x/etc/testssl
timeout 280 bash x/usr/bin/testssl -p -s -f -P -S -h -U --quiet --color 0 --warnings off --nodns none \\
    --openssl /usr/bin/openssl --add-ca authority.pem --jsonfile report "$@" </dev/null >&2
cat report
"""


def against_mozillas_intermediate(place: Path, address: str, name: str, authority: Path) -> list[str]:
    """What sslyze finds of a site's TLS that Mozilla's intermediate profile would have otherwise."""
    words = ["--mozilla_config=intermediate", "--sni", name, "--certinfo_ca_file", str(authority), f"{address}:443"]
    said = _run(place, "sslyze", *words)
    verdict = said.partition("COMPLIANCE AGAINST TLS CONFIGURATION")[2]
    assert re.search(r": (OK - Compliant|FAILED)", verdict), said
    return re.findall(r"^\s+\* (\w+): ", verdict, re.MULTILINE)


def of_nginx(place: Path, configuration: str) -> list[str]:
    """The rules of gixy that the configuration, as `nginx -T` prints it, breaks."""
    found = json.loads(_run(place, "gixy", "-f", "json", "-", given=configuration))
    return sorted({str(one["plugin"]) for one in found})


def of_tls(fleet: Fleet, server: str, address: str, name: str, authority: str) -> dict[str, list[str]]:
    """What testssl.sh, on that server, finds wrong with a site at the address: severity -> findings."""
    words: Sequence[str] = ["sh", "-c", TESTSSL, "testssl", "--ip", address, f"https://{name}"]
    text = fleet.sudo(server, f"{shlex.join(words)} || test $? -eq {UNKNOWN}", authority)
    if not text.strip():
        pytest.skip(f"testssl.sh: {server}'s release does not have it")
    found: dict[str, list[str]] = {}
    for one in json.loads(text):
        found.setdefault(one["severity"], []).append(f"{one['id']}: {one['finding']}")
    return {severity: found[severity] for severity in (*GRAVE, "LOW") if severity in found}


def _run(place: Path, module: str, *words: str, given: str | None = None) -> str:
    """place: where it is installed."""
    argv = [sys.executable, "-W", "ignore", "-m", module, *words]
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(argv, env=environment, input=given, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    return done.stdout
