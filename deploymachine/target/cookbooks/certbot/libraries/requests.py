"""A site and its domains in; out come the command that gets a certificate, whether there is need of it, and its end."""

import os
import shlex

from kokki import Environment, Execute, File
from kokki.paths import system_path

TOOL = "/usr/local/lib/deploymachine/certificates"
WEBROOT = "/var/www/acme"
WANTED = "/etc/letsencrypt/deploymachine"  # what is asked for, and what was got


def obtain(site, domains, config):
    """A shell line: nginx takes what it has been given to answer the authority, certbot asks it, the success is noted.

    Whatever of the request has changed, another certificate is wanted, however long the old one would last.
    """
    words = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--email", config.email]
    words += ["--webroot", "--webroot-path", WEBROOT, "--cert-name", site, "--key-type", "ecdsa"]
    words += [word for domain in domains for word in ("--domain", domain)]
    words += ["--force-renewal", "--renew-with-new-domains", "--deploy-hook", f"{TOOL} install {site}"]
    words += ["--server", config.directory] if config.directory else []
    note = ["cp", f"{WANTED}/{site}.json", f"{WANTED}/{site}.done"]
    return f"nginx -t -q && systemctl reload nginx && {shlex.join(words)} && {shlex.join(note)}"


def is_settled(site):
    """Whether there is a certificate for exactly what is wanted now."""
    asked, got = (_read(f"{WANTED}/{site}.{suffix}") for suffix in ("json", "done"))
    return asked is not None and asked == got and os.path.exists(system_path(_live(site)))


def is_waiting(site):
    """Whether certbot has a certificate that nginx was not given."""
    got = _read(_live(site))
    return got is not None and got != _read(f"/etc/nginx/tls/{site}.crt")


def forget_others(sites):
    """Declare that certbot knows nothing of any other site: what no longer leads here can't be renewed."""
    wanted = [f"{site}.json" for site in sites]
    for path in Environment.get_instance().cookbook("base").strangers(WANTED, "*.json", wanted):
        site = os.path.basename(path)[: -len(".json")]
        known = system_path(f"/etc/letsencrypt/renewal/{site}.conf")
        command = ["certbot", "delete", "--non-interactive", "--cert-name", site]
        Execute(f"forget the certificate of {site}", command=command, only_if=lambda known=known: os.path.exists(known))
        for gone in (path, f"{WANTED}/{site}.done"):
            File(gone, action="delete")


def _live(site):
    return f"/etc/letsencrypt/live/{site}/fullchain.pem"


def _read(path):
    try:
        with open(system_path(path), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None
