"""A file, a link and a certificate for each site; those of sites that are gone go too. Files of others stay."""

from kokki import *

config, nginx, strangers = env.config.nginx, env.cookbooks.nginx, env.cookbook("base").strangers
UNKNOWN = "_"  # what answers names that no site has
TLS, SITES, PAGES = "/etc/nginx/tls", "/etc/nginx/sites-", "/usr/share/deploymachine/nginx"


def enable(name, template, enabled=True, **variables):
    content = Template(f"nginx/{template}.conf.j2", lambda: {**nginx.features(), **variables})
    File(f"{SITES}available/site-{name}.conf", content=content, mode=0o644)
    link = f"{SITES}enabled/site-{name}.conf"
    Link(link, to=f"../sites-available/site-{name}.conf", action="create" if enabled else "delete")


def certify(name, acme):
    if name not in config.certificates:
        raise Fail(f"nginx.certificates has none for the site {name}")
    pair, action = config.certificates[name], "touch" if acme else "create"  # what certbot brought stays
    File(f"{TLS}/{name}.crt", content=pair["certificate"], mode=0o644, action=action)
    File(f"{TLS}/{name}.key", content=pair["key"], mode=0o600, backup=False, action=action)
    stapling = "" if acme else nginx.stapling(pair["certificate"])
    File(f"{TLS}/{name}.stapling", content=stapling, mode=0o644, action=action)


def tell(name, page, notice):
    """What visitors read while the site is in maintenance: a page of its own, or ours."""
    message = nginx.as_html(notice["message"])
    ours = Template("nginx/maintenance.html.j2", {"message": message})
    content = page.replace("{{ message }}", message) if page else ours
    File(f"{PAGES}/maintenance-{name}.html", content=content, mode=0o644)


names = [site["name"] for site in config.sites]
states = nginx.states(names, config.switch)
for site in config.sites:
    state = states[site["name"]]
    certify(site["name"], site.get("certificate") == "acme")
    health_path = nginx.quoted(site.get("health_path", "/healthz"))
    shown = {"site": site, "maintenance": state["maintenance"], "health_path": health_path}
    enable(site["name"], "site", state["enabled"], **shown)
    if state["maintenance"] is not None:
        tell(site["name"], site.get("maintenance_page"), state["maintenance"])

has_default = any(site.get("default") and states[site["name"]]["enabled"] for site in config.sites)
if not has_default:
    enable(UNKNOWN, "unknown", names=names)

known = [f"site-{name}.conf" for name in names + [UNKNOWN] * (not has_default)]
gone = [path for kind in ("enabled", "available") for path in strangers(f"{SITES}{kind}", "site-*.conf", known)]
shut = [f"maintenance-{name}.html" for name in names if states[name]["maintenance"] is not None]
gone += strangers(PAGES, "maintenance-*.html", shut)
for suffix in ("crt", "key", "stapling"):
    gone += strangers(TLS, f"*.{suffix}", [f"{name}.{suffix}" for name in names])
for path in gone:
    File(path, action="delete", backup=not path.endswith(".key"))
