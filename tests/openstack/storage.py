"""A place goes in; MariaDB and RabbitMQ run, and every service's tables are there: migrated once, then copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import seed
from configuration import database_url, environment, rabbit_url
from place import ADDRESS, HERE, PASSWORD, REGION, Place
from processes import finish, start, stop, wait_listening, wait_socket
from programs import REQUIREMENTS, fingerprint, inside
from services import start_keystone

from deploymachine.devcloud.run import run

DATABASES = ("keystone", "glance", "placement", "neutron", "nova_api", "nova_cell0", "nova_cell1")
MARIADB = ("--no-defaults", "--user=root")
# Nothing here has to survive a crash of this machine.
HASTY = (
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=32M",
    "--innodb-buffer-pool-size=128M",
    "--performance-schema=OFF",
)
RABBIT_CONF = """\
listeners.tcp.1 = {address}:{port}
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
"""


def start_all(place: Place, say: Callable[[str], None]) -> None:
    """Both, with all tables; Keystone runs afterwards as well. Raises DeployMachineError."""
    _start_rabbit(place)
    snapshot = place.cache / f"databases-{_fingerprint(place)}"
    if snapshot.exists():
        say("copying the databases made before")
        for name in ("mysql", "keys"):
            run(["cp", "-a", "--reflink=auto", str(snapshot / name), str(place.run)])
        _start_mariadb(place)
        start_keystone(place)
    else:
        say("migrating the databases (once)")
        _make_databases(place)
        _start_mariadb(place)
        _migrate(place)
        _keep(place, snapshot.name)
    wait_listening(place, ["rabbit"])


def _fingerprint(place: Place) -> str:
    """Of everything that the databases hold: addresses, users, endpoints."""
    return fingerprint(REQUIREMENTS.read_text(), (HERE / "seed.py").read_text(), place.run, place.first_port)


def _start_rabbit(place: Place) -> None:
    home = place.run / "rabbit"
    home.mkdir(exist_ok=True)
    (home / "rabbitmq.conf").write_text(RABBIT_CONF.format(address=ADDRESS, port=place.port("rabbit")))
    (home / "enabled_plugins").write_text("[].\n")
    names = {"ERL_EPMD_PORT": str(place.port("epmd")), "ERL_EPMD_ADDRESS": ADDRESS, "HOME": str(home)}
    start(place, "epmd", inside(place, "epmd", "-port", str(place.port("epmd")), "-address", ADDRESS), names)
    wait_listening(place, ["epmd"])  # else Erlang starts one of its own, which nobody would end
    settings = {
        "RABBITMQ_NODENAME": "deploymachine@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": ADDRESS,
        "RABBITMQ_NODE_PORT": str(place.port("rabbit")),
        "RABBITMQ_DIST_PORT": str(place.port("rabbit-peers")),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
    }
    start(place, "rabbit", inside(place, "/usr/lib/rabbitmq/bin/rabbitmq-server"), {**names, **settings})


def _make_databases(place: Place) -> None:
    shutil.rmtree(place.run / "mysql", ignore_errors=True)
    install = ["mariadb-install-db", *MARIADB, f"--datadir={place.run}/mysql", "--skip-test-db"]
    finish(place, "mariadb", inside(place, *install, "--auth-root-authentication-method=normal"))
    lines = [f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb3;" for name in DATABASES]
    (place.run / "databases.sql").write_text("\n".join(lines) + "\n")


def _start_mariadb(place: Place) -> None:
    made = place.run / "databases.sql"
    files = [f"--datadir={place.run}/mysql", f"--socket={place.socket}", f"--pid-file={place.run}/mysql/pid"]
    first = [f"--init-file={made}"] if made.exists() else []
    tuned = ["--skip-networking", "--max-connections=600", "--character-set-server=utf8mb4"]
    start(place, "mariadb", inside(place, "mariadbd", *MARIADB, *files, *first, *tuned, *HASTY))
    wait_socket(place, "mariadb", place.socket)


def _migrate(place: Place) -> None:
    """Neutron's and Nova's migrations take longest: they go beside the others."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(step, place) for step in (_migrate_small, _migrate_neutron, _migrate_nova)]:
            done.result()


def _migrate_small(place: Place) -> None:
    manage = [place.bin("keystone-manage"), "--config-file", place.config("keystone", "keystone.conf")]
    users = ["--keystone-user", "root", "--keystone-group", "root"]
    url = place.url("keystone", "/v3/")
    urls = [word for kind in ("admin", "internal", "public") for word in (f"--bootstrap-{kind}-url", url)]
    bootstrap = ["bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION, *urls]
    keys = [[*manage, f"{kind}_setup", *users] for kind in ("fernet", "credential")]
    finish(place, "keystone-manage", [*manage, "db_sync"], *keys, [*manage, *bootstrap])
    start_keystone(place)
    seed.identity(place)
    placement = [place.bin("placement-manage"), "--config-file", place.config("placement", "placement.conf")]
    finish(place, "placement-manage", [*placement, "db", "sync"])
    glance = [place.bin("glance-manage"), "--config-file", place.config("glance", "glance-api.conf")]
    finish(place, "glance-manage", [*glance, "db_sync"])


def _migrate_neutron(place: Place) -> None:
    files = [place.config("neutron", name) for name in ("neutron.conf", "ml2_conf.ini")]
    options = [word for file in files for word in ("--config-file", file)]
    finish(
        place,
        "neutron-manage",
        [place.bin("neutron-db-manage"), *options, "upgrade", "heads"],
        extra=environment(place),
    )


def _migrate_nova(place: Place) -> None:
    manage = [place.bin("nova-manage"), "--config-file", place.config("nova", "nova.conf")]
    cell0 = ["cell_v2", "map_cell0", "--database_connection", database_url(place, "nova_cell0")]
    cell1 = ["cell_v2", "create_cell", "--name", "cell1", "--transport-url", rabbit_url(place)]
    cell1 += ["--database_connection", database_url(place, "nova_cell1")]
    finish(place, "nova-manage", *([*manage, *words] for words in (["api_db", "sync"], cell0, cell1, ["db", "sync"])))


def _keep(place: Place, name: str) -> None:
    """A copy for the next time, taken while nothing writes; older ones go."""
    for old in place.cache.glob("databases-*"):
        shutil.rmtree(old)
    stop(place, ["mariadb"])
    (place.run / "databases.sql").unlink()
    part = place.cache / "databases-part"
    part.mkdir()
    run(["cp", "-a", "--reflink=auto", str(place.run / "mysql"), str(place.run / "keys"), str(part)])
    part.rename(place.cache / name)
    _start_mariadb(place)
