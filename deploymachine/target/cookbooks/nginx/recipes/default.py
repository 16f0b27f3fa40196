"""nginx and every site it balances. The configuration is tried as a whole before the running one is replaced."""

import os

from kokki import *

declared = len(env.resource_list)
HERE, WEBROOT = "/usr/share/deploymachine/nginx", "/var/www/acme"

Package("nginx")
Directory("/etc/nginx/tls", mode=0o700)
Directory("/var/cache/nginx", owner="www-data", group="root", mode=0o700)
for folder in (HERE, WEBROOT):
    Directory(folder, recursive=True, mode=0o755)
File(f"{HERE}/unavailable.html", content=StaticFile("nginx/unavailable.html"), mode=0o644)
File("/etc/nginx/snippets/acme.conf", content=Template("nginx/acme.conf.j2", {"webroot": WEBROOT}), mode=0o644)
File("/etc/nginx/nginx.conf", content=Template("nginx/nginx.conf.j2", env.cookbooks.nginx.features), mode=0o644)
File("/etc/nginx/sites-enabled/default", action="delete")
env.include_recipe("nginx.sites")
unit = SystemdUnit("nginx.service.d/deploymachine.conf", content=StaticFile("nginx/unit.conf"))

Service(
    "nginx",
    action="start",
    enabled=True,
    reload_command="nginx -t -q && systemctl reload nginx",
    subscribes=[("restart", unit)]
    + [("reload", resource) for resource in env.resource_list[declared:] if resource is not unit],
)
if any(site.get("certificate") == "acme" for site in env.config.nginx.sites):
    env.include_recipe("certbot")
elif os.path.exists("/etc/deploymachine/certificates/settings.json"):
    env.include_recipe("certbot.absent")
