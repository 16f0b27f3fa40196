"""A site and its domains in; out come the command that gets a certificate, and whether there is need of it."""

import os
import shlex

from kokki.paths import system_path

TOOL = "/usr/local/lib/deploymachine/certificates"
WEBROOT = "/var/www/acme"


def obtain(site, domains, config, wanted):
    """A shell line: nginx takes what it has been given to answer the authority, certbot asks it, the success is noted.

    Whatever of the request has changed, another certificate is wanted, however long the old one would last.
    """
    words = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--email", config.email]
    words += ["--webroot", "--webroot-path", WEBROOT, "--cert-name", site, "--key-type", "ecdsa"]
    words += [word for domain in domains for word in ("--domain", domain)]
    words += ["--force-renewal", "--renew-with-new-domains", "--deploy-hook", f"{TOOL} install {site}"]
    words += ["--server", config.directory] if config.directory else []
    note = ["cp", f"{wanted}/{site}.json", f"{wanted}/{site}.done"]
    return f"nginx -t -q && systemctl reload nginx && {shlex.join(words)} && {shlex.join(note)}"


def is_settled(site, wanted):
    """Whether there is a certificate for exactly what is wanted now."""
    asked, got = (_read(f"{wanted}/{site}.{suffix}") for suffix in ("json", "done"))
    return asked is not None and asked == got and os.path.exists(system_path(_live(site)))


def is_waiting(site):
    """Whether certbot has a certificate that nginx was not given."""
    got = _read(_live(site))
    return got is not None and got != _read(f"/etc/nginx/tls/{site}.crt")


def _live(site):
    return f"/etc/letsencrypt/live/{site}/fullchain.pem"


def _read(path):
    try:
        with open(system_path(path), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None
