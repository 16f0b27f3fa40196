"""nginx and every site it balances. The configuration is tried as a whole before the running one is replaced."""

from kokki import *

declared = len(env.resource_list)

Package("nginx")
Directory("/etc/nginx/tls", mode=0o700)
Directory("/var/cache/nginx", owner="www-data", group="root", mode=0o700)
Directory("/usr/share/deploymachine/nginx", recursive=True, mode=0o755)
File("/usr/share/deploymachine/nginx/unavailable.html", content=StaticFile("nginx/unavailable.html"), mode=0o644)
File("/etc/nginx/nginx.conf", content=Template("nginx/nginx.conf.j2", {"nginx": env.cookbooks.nginx}), mode=0o644)
File("/etc/nginx/sites-enabled/default", action="delete")
env.include_recipe("nginx.sites")

Service(
    "nginx",
    action="start",
    enabled=True,
    reload_command="nginx -t -q && systemctl reload nginx",
    subscribes=[("reload", resource) for resource in env.resource_list[declared:]],
)
