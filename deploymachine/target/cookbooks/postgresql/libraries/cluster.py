"""Debian's cluster: which version it has, where it writes, how pg_hba.conf names a client."""

import functools
import ipaddress
import os
import re
import subprocess

from kokki import Fail


@functools.cache
def version():
    """The major version: of the cluster that is there, else of the package that Debian would install."""
    there = versions()
    if there:
        return there[-1]
    told = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", "postgresql"], capture_output=True, text=True
    ).stdout
    found = re.search(r"^Depends: .*?postgresql-(\d+)", told, re.MULTILINE)
    if found is None:
        raise Fail("apt knows no package postgresql", hint="its lists are empty or old: `fab server:NAME apt.update`")
    return found[1]


def versions():
    """The major versions of the clusters that are there, the newest last; [] where there is none."""
    there = [name for name in _listdir("/etc/postgresql") if os.path.isdir(f"/etc/postgresql/{name}/main")]
    return sorted(there, key=lambda name: int(name.partition(".")[0]))


def data(version):
    return f"/var/lib/postgresql/{version}/main"


def writes(env):
    """The directories besides its own that PostgreSQL writes to: those of its backups, where it has any."""
    backup = env.config.postgresql.get("backup")
    return [backup["path"], "/var/log/pgbackrest", "/var/spool/pgbackrest"] if backup else []


def who_may_connect(config):
    """The clients and the addresses of the replicas, as pg_hba.conf names them."""
    clients = [{**client, "address": _host(client["address"])} for client in config.clients]
    return {"clients": clients, "replicas": [_host(replica["address"]) for replica in config.replicas]}


def _host(address):
    """An address with its network; "local" is the server's own socket."""
    return address if address == "local" else str(ipaddress.ip_network(address, strict=False))


def _listdir(path):
    return os.listdir(path) if os.path.isdir(path) else []
