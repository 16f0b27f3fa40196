"""A file, a link and a certificate for each site; those of sites that are gone go too. Files of others stay."""

from kokki import *

config, nginx, strangers = env.config.nginx, env.cookbooks.nginx, env.cookbook("base").strangers
names = [site["name"] for site in config.sites]
has_default = any(site.get("default") for site in config.sites)
UNKNOWN = "_"  # what answers names that no site has


def enable(name, template, **variables):
    content = Template(f"nginx/{template}.conf.j2", {"nginx": nginx, **variables})
    File(f"/etc/nginx/sites-available/site-{name}.conf", content=content, mode=0o644)
    Link(f"/etc/nginx/sites-enabled/site-{name}.conf", to=f"../sites-available/site-{name}.conf")


for site in config.sites:
    name = site["name"]
    if name not in config.certificates:
        raise Fail(f"nginx.certificates has none for the site {name}")
    pair = config.certificates[name]
    File(f"/etc/nginx/tls/{name}.crt", content=pair["certificate"], mode=0o644)
    File(f"/etc/nginx/tls/{name}.key", content=pair["key"], mode=0o600, backup=False)
    enable(name, "site", site=site)

if not has_default:
    enable(UNKNOWN, "unknown", names=names)

enabled = [f"site-{name}.conf" for name in names + [UNKNOWN] * (not has_default)]
gone = [
    *strangers("/etc/nginx/sites-enabled", "site-*.conf", enabled),
    *strangers("/etc/nginx/sites-available", "site-*.conf", enabled),
    *strangers("/etc/nginx/tls", "*.crt", [f"{name}.crt" for name in names]),
    *strangers("/etc/nginx/tls", "*.key", [f"{name}.key" for name in names]),
]
for path in gone:
    File(path, action="delete")
