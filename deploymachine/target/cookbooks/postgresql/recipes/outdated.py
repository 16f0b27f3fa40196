"""Where other servers have these databases, too: one that was away notices that another has taken them over."""

from kokki import *

config, postgresql = env.config.postgresql, env.cookbooks.postgresql
version = config.version or postgresql.version()
DIRECTORY = "/usr/local/lib/deploymachine"
UNIT, DROP_IN = "deploymachine-postgresql-outdated", "postgresql@.service.d/deploymachine-outdated.conf"

if config.replicas:
    variables = {
        "version": version,
        "command": f"{DIRECTORY}/postgresql-outdated --version {version} --port {config.port}",
        "peers": " ".join(f"{peer['name']}={peer['address']}" for peer in config.replicas),
    }
    Directory(DIRECTORY, mode=0o755)
    File(f"{DIRECTORY}/postgresql-outdated", content=StaticFile("postgresql/postgresql-outdated"), mode=0o755)
    SystemdUnit(DROP_IN, content=Template("postgresql/outdated.conf.j2", variables))
    SystemdUnit(f"{UNIT}.service", content=Template("postgresql/outdated.service.j2", variables))
    timer = SystemdUnit(f"{UNIT}.timer", content=StaticFile("postgresql/outdated.timer"))
    Service(f"{UNIT}.timer", action="start", enabled=True, subscribes=[("restart", timer)])
else:
    env.include_recipe("postgresql.never_outdated")
