"""rsyslog: sends what is logged here to the lognodes, over TLS, and waits on disk for those that are away."""

from kokki import *

config, logs = env.config.logs, env.cookbooks.logs
TLS = "/etc/rsyslog.d/tls"  # where the AppArmor profile that some systems have for rsyslog lets it read
CONFIGURATION = "/etc/rsyslog.conf"
LEAST_MB = 8  # rsyslog's queue lies in files of 1 MB, and room is made by a whole one

if config.queue_mb < LEAST_MB:
    raise Fail(f"logs.queue_mb is {config.queue_mb}: it has to be {LEAST_MB} at least")
if config.identity:
    Package("rsyslog")
    Package("rsyslog-relp")
    Directory("/etc/rsyslog.d", mode=0o755)
    Directory(TLS, mode=0o700)
    identity = [
        File(f"{TLS}/authority.pem", content=config.identity["authority"], mode=0o644),
        File(f"{TLS}/server.pem", content=config.identity["certificate"], mode=0o644),
        File(f"{TLS}/server.key", content=config.identity["key"], mode=0o600, backup=False),
        File("/etc/rsyslog.d/senders.json", content=logs.senders(env), mode=0o644),
    ]
    configuration = File(
        CONFIGURATION,
        content=Template("logs/rsyslog.conf.j2", {"files": logs.files(env), "tls": TLS}),
        mode=0o644,
        validate="rsyslogd -N1 -f %s",
    )
    unit = SystemdUnit("rsyslog.service.d/deploymachine.conf", content=Template("logs/rsyslog.service.j2"))
    Service(
        "rsyslog",
        action="start",
        enabled=True,
        subscribes=[("restart", changed) for changed in (*identity, configuration, unit)],
    )
elif logs.is_ours(CONFIGURATION):
    # The last lognode is gone. What waited for it goes, too: nobody will ever ask for it.
    Service("rsyslog", action="stop", enabled=False)
    for path in (f"{TLS}/server.key", f"{TLS}/server.pem", f"{TLS}/authority.pem", CONFIGURATION):
        File(path, action="delete", backup=False)
