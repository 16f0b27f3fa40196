"""A site on a server in, the environment that it runs in there out; the user's own values may refer to ours."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from deploymachine.secrets import Secret
from deploymachine.servertypes import Deployment, _database, broker, cachenode
from deploymachine.servertypes._site import place
from deploymachine.settings import Site
from deploymachine.settings_build import REFERENCE, references


def environment(name: str, site: Site, hosts: list[str], deployment: Deployment) -> dict[str, str]:
    """Every variable of the site. hosts: the names it answers to, the one that visitors know first.

    A value of settings.py that refers to what there is not (yet), such as a cache, is left out, as the cache's own is.
    """
    variables = _told(name, site, hosts, deployment)
    known = {**variables, **_parts(name, hosts, variables)}
    own: dict[str, str] = {}
    for key, value in site.environment.items():
        if not isinstance(value, str):
            own[key] = deployment.secrets.given(value.secret, f"SITES[{name!r}]['environment'][{key!r}]")
        elif all(word in known for word in references(value)):
            own[key] = filled(value, known)
    return {**variables, **own}


def filled(value: str, known: Mapping[str, str]) -> str:
    """The value with its references resolved; a Secret where one of those is."""
    text = REFERENCE.sub(lambda found: "${" if found[1] is None else str.__str__(known[found[1]]), value)
    return Secret(text) if any(isinstance(known[word], Secret) for word in references(value)) else text


def key_of(site: str) -> str:
    """The name of its SECRET_KEY among the secrets."""
    return f"site-{site}-secret-key"


def _told(name: str, site: Site, hosts: list[str], deployment: Deployment) -> dict[str, str]:
    variables: dict[str, str] = {
        "DJANGO_SETTINGS_MODULE": site.settings_module,
        "SECRET_KEY": deployment.secrets.key(key_of(name)),
        "ALLOWED_HOSTS": ",".join(hosts),
        "CSRF_TRUSTED_ORIGINS": ",".join(f"https://{host}" for host in hosts),
    }
    if others := deployment.secrets.besides(key_of(name)):
        variables["SECRET_KEY_FALLBACKS"] = Secret(",".join(others))
    if site.database is not None:
        variables["DATABASE_URL"] = _database.url(site.database, name, deployment)
    if (caches := cachenode.urls(name, deployment)) is not None:
        variables["CACHE_URL"] = caches
    if (tasks := broker.url(name, deployment)) is not None:
        variables["BROKER_URL"] = tasks
    return variables


def _parts(name: str, hosts: list[str], variables: Mapping[str, str]) -> dict[str, str]:
    """What only references give: the database in pieces, the site's own address, a place that all releases share."""
    found: dict[str, str] = {"SITE_URL": f"https://{hosts[0]}", "SITE_SHARED": f"{place(name)['root']}/shared"}
    if "DATABASE_URL" not in variables:
        return found
    url = urlsplit(str.__str__(variables["DATABASE_URL"]))
    return {
        **found,
        "DATABASE_HOST": url.hostname or "",
        "DATABASE_PORT": str(url.port),
        "DATABASE_NAME": url.path.lstrip("/"),
        "DATABASE_USER": url.username or "",
        "DATABASE_PASSWORD": Secret(unquote(url.password or "")),
    }
