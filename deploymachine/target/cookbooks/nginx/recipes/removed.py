"""Nothing of nginx is left, the keys of its certificates included, however they came here."""

from kokki import *

env.include_recipe("nginx.absent")
SystemdUnit("nginx.service.d/deploymachine.conf", action="delete", backup=False)
for package in ("nginx", "nginx-common", "certbot"):
    Package(package, action="purge")
for path in ("/etc/nginx", "/etc/letsencrypt", "/etc/deploymachine/certificates", "/var/log/nginx", "/var/cache/nginx"):
    Directory(path, action="delete", recursive=True)
