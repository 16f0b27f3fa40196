"""All of it, in the order a person would do it by hand; services last, when their configuration is there."""

from kokki import *

PACKAGES = (
    "nginx-light supervisor git python3-venv redis-tools logrotate rsyslog cron curl htop unattended-upgrades fail2ban"
)
USERS = {  # name: (uid, group, supplementary groups)
    "app": (2000, "app", []),
    "deploy": (2001, "deploy", ["app"]),
    "ops": (2002, "deploy", ["app", "adm"]),
}
DIRECTORIES = {
    "/opt/app": ("app", 0o755),
    "/opt/app/releases": ("app", 0o775),
    "/opt/app/shared": ("app", 0o755),
    "/opt/app/shared/config": ("app", 0o750),
    "/var/log/app": ("adm", 0o750),
    "/var/lib/app": ("app", 0o700),
}
TEMPLATES = {  # path: (template, service to restart)
    "/etc/nginx/nginx.conf": ("nginx.conf", "nginx"),
    "/etc/nginx/conf.d/tuning.conf": ("nginx-tuning.conf", "nginx"),
    "/etc/nginx/snippets/app-headers.conf": ("nginx-headers.conf", "nginx"),
    "/etc/nginx/sites-available/app.conf": ("nginx-site.conf", "nginx"),
    "/etc/supervisor/conf.d/app-web.conf": ("supervisor-web.conf", "supervisor"),
    "/etc/supervisor/conf.d/app-worker.conf": ("supervisor-worker.conf", "supervisor"),
    "/etc/rsyslog.d/30-app.conf": ("rsyslog.conf", "rsyslog"),
    "/etc/fail2ban/jail.local": ("jail.local", "fail2ban"),
    "/etc/fail2ban/filter.d/app-auth.conf": ("filter-app-auth.conf", "fail2ban"),
    "/etc/logrotate.d/app": ("logrotate-app", ""),
    "/etc/apt/apt.conf.d/20auto-upgrades": ("20auto-upgrades", ""),
    "/etc/apt/apt.conf.d/52unattended-upgrades-local": ("52unattended-upgrades", ""),
    "/opt/app/shared/config/app.yml": ("app.yml", "supervisor"),
    "/opt/app/shared/config/app.env": ("app.env", "supervisor"),
    "/usr/local/bin/app-healthcheck": ("app-healthcheck", ""),
}
OTHERS = {  # path: (owner and group, mode) where it is not root's and 0644
    "/opt/app/shared/config/app.yml": ("app", 0o640),
    "/opt/app/shared/config/app.env": ("app", 0o600),
    "/usr/local/bin/app-healthcheck": ("root", 0o755),
}
LINKS = {
    "/etc/nginx/sites-enabled/app.conf": "/etc/nginx/sites-available/app.conf",
    "/opt/app/log": "/var/log/app",
    "/opt/app/current": "/opt/app/shared",
}
SYSCTLS = {
    "net.core.somaxconn": 1024,
    "net.ipv4.tcp_fin_timeout": 30,
    "net.ipv4.tcp_keepalive_time": 300,
    "net.ipv4.tcp_max_syn_backlog": 2048,
}
restarts = {name: [] for name in ("nginx", "supervisor", "rsyslog", "cron", "fail2ban")}


def rendered(name):
    return Template(f"app/{name}.j2", {"app": env.config.app})


for name in PACKAGES.split():
    Package(name, recommends=True)
Group("app", gid=2000)
Group("deploy", gid=2001)
for name, (uid, group, groups) in USERS.items():
    home = f"/home/{name}"
    User(name, uid=uid, gid=group, groups=groups, home=home)
    Directory(f"{home}/.ssh", owner=name, group=group, mode=0o700)
    keys = "".join(f"{key}\n" for key in env.cookbooks.app.KEYS[name])
    File(f"{home}/.ssh/authorized_keys", content=keys, owner=name, group=group, mode=0o600)
for path, (group, mode) in DIRECTORIES.items():
    Directory(path, owner="app", group=group, mode=mode)
for path, (name, service) in TEMPLATES.items():
    owner, mode = OTHERS.get(path, ("root", 0o644))
    file = File(path, content=rendered(name), owner=owner, group=owner, mode=mode)
    restarts.setdefault(service, []).append(file)
for path, to in LINKS.items():
    link = Link(path, to=to)
    restarts["nginx"] += [link] if path.startswith("/etc/nginx") else []
for name, value in SYSCTLS.items():
    Sysctl(name, value=value, path="/etc/sysctl.d/60-app.conf")
File("/etc/sudoers.d/90-app", content=rendered("sudoers-app"), mode=0o440, validate="/usr/sbin/visudo -cf %s")
sshd = File(
    "/etc/ssh/sshd_config.d/50-app.conf",
    content=rendered("sshd-app.conf"),
    mode=0o644,
    validate="/usr/sbin/sshd -t -f %s",
)
Cron(
    "app-backup",
    schedule="15 2 * * *",
    command="/usr/bin/tar -czf /var/lib/app/backup.tgz /opt/app/shared/config",
)
Cron(
    "app-cleanup",
    schedule="*/10 * * * *",
    user="app",
    command="/usr/bin/find /opt/app/releases -mindepth 1 -maxdepth 1 -mtime +30 -delete",
)
Service("ssh", subscribes=[("reload", sshd)])
for name in ("nginx", "supervisor", "rsyslog", "cron", "fail2ban"):
    Service(name, running=True, enabled=True, subscribes=[("restart", changed) for changed in restarts[name]])
