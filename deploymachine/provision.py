"""A bare server in, one with deploy user, sshd, firewall and base packages out; it can't lock anybody out.

As root on port 22 the server is cooked with both ways in open. The new way (the deploy user on SSH_PORT, with a
host key made on the server) is proven by a second connection; then the old one is closed, the new one proven again
and only then confirmed.
Until that moment the server holds a snapshot of its way in, and puts it back by itself if nobody confirms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deploymachine.converge import NoPythonError, Result
from deploymachine.cook import ask, carry_out, on_all, sudo_password
from deploymachine.cook import confirm as tell_to_keep
from deploymachine.errors import ConnectError, ConvergeError, DeployMachineError, HostKeyError, UnknownHostKeyError
from deploymachine.hostkeys import HostKeys
from deploymachine.inventory import Server
from deploymachine.prove import connect_anew, not_proven
from deploymachine.report import Report
from deploymachine.runlist import RunList, run_lists
from deploymachine.servertypes import Deployment
from deploymachine.ssh import Connection, connect, login, root_login

UNCONFIRMED_SECONDS = 50
PACKAGES = ("base.packages",)  # before the snapshot: the system users that packages make must survive a rollback
ACCESS = ("base.access",)
CLOSE = ("base.close",)  # after the confirmation: a rollback needs root's keys
ROLE = ("base",)
INSTALL_PYTHON = (
    "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends python3-minimal"
)
SKIPPED = Result("skipped", note="already provisioned")


def provision(servers: Sequence[Server], deployment: Deployment, report: Report) -> list[Result]:
    """Provision every server that is not yet; the others are recognised and skipped. Raises after all were tried."""
    lists = run_lists(servers, deployment)

    def one(server: Server) -> Result:
        report.phase(server, "recognise")
        if is_provisioned(server, deployment):
            return SKIPPED
        with _as_root(server, deployment) as connection:
            return _Provisioning(server, deployment, report, connection, lists[server.name]).run()

    return on_all(servers, report, one)


def is_provisioned(server: Server, deployment: Deployment) -> bool:
    """Does the new way in work, and does the server say that it was confirmed? A wrong host key is raised.

    Provisioning pins the key of that way: where none is known, as of a server that SERVERS names, nobody was there yet.
    """
    try:
        with connect(server, login(server, deployment.settings), deployment.settings) as connection:
            state = ask(connection, {"command": "guard", "action": "state"}, sudo_password(server, deployment))
    except UnknownHostKeyError:
        return False
    except HostKeyError:
        raise
    except ConnectError:
        return False
    return state["provisioned"] is not None


def _as_root(server: Server, deployment: Deployment) -> Connection:
    try:
        return connect(server, root_login(), deployment.settings)
    except ConnectError as error:
        if not isinstance(error, HostKeyError):
            error.hint = (
                f"provisioning logs in as root on port 22, and {deployment.settings.DEPLOY_USERNAME} on port "
                f"{deployment.settings.SSH_PORT} does not work either: `fab openstack_list` shows whether the server "
                "runs; a security group or firewall may keep this machine out"
            )
        raise


class _Provisioning:
    """One server's way from bare to provisioned, over the root connection it began with."""

    def __init__(
        self, server: Server, deployment: Deployment, report: Report, root: Connection, wanted: RunList
    ) -> None:
        self.server, self.deployment, self.report, self.root, self.wanted = server, deployment, report, root, wanted
        self.keys = HostKeys(deployment.settings)
        self.login = login(server, deployment.settings)

    def run(self) -> Result:
        self._need_python()
        self.report.phase(self.server, "packages")
        self._cook(root_login=True, recipes=PACKAGES)
        self._guard("snapshot")
        old_key = self.keys.get(self.server.address, self.login.port)
        try:
            result = self._open_new_way()
            self._close_old_way()
        except BaseException:
            self._put_back(old_key)
            raise
        return result

    def _need_python(self) -> None:
        try:
            self._guard("state")
        except NoPythonError:
            self.report.phase(self.server, "python3")
            channel = self.root.open(INSTALL_PYTHON)
            if channel.recv_exit_status():
                raise ConvergeError(
                    f"python3 could not be installed on {self.server.name}",
                    where=self.server.where,
                    why=f"this command failed: {INSTALL_PYTHON}",
                    hint="use an image with python3, or mend its apt sources",
                ) from None

    def _open_new_way(self) -> Result:
        self.report.phase(self.server, "provision")
        result = self._cook(root_login=True, recipes=ROLE)
        self.report.phase(self.server, "prove")
        key = self._guard("new_host_key")["host_key"]
        self.keys.pin(self.server.name, self.server.address, self.login.port, key)
        self._prove()
        return result

    def _close_old_way(self) -> None:
        self._guard("arm", seconds=UNCONFIRMED_SECONDS)
        self.report.phase(self.server, "close root")
        self._cook(root_login=False, recipes=ACCESS)
        self._prove(confirm=True)
        self._cook(root_login=False, recipes=CLOSE)

    def _prove(self, *, confirm: bool = False) -> None:
        """Log in anew as the deploy user and become root there; with `confirm`, tell the server over that very way."""
        password = sudo_password(self.server, self.deployment)
        try:
            with connect_anew(self.server, self.login, self.deployment.settings) as connection:
                if confirm:
                    tell_to_keep(connection, password, marker={"version": 1, "type": self.server.type})
                else:
                    ask(connection, {"command": "guard", "action": "state"}, password)
        except DeployMachineError as error:
            raise not_proven(self.server, self.login, error) from None

    def _put_back(self, old_key: str | None) -> None:
        if old_key is not None:
            self.keys.pin(self.server.name, self.server.address, self.login.port, old_key)
        try:
            self._guard("rollback")
        except DeployMachineError:
            return  # the connection is gone: where the guard was armed, the server does it by itself

    def _cook(self, *, root_login: bool, recipes: tuple[str, ...]) -> Result:
        attributes = {**self.wanted.attributes, "base.root_login": root_login}
        wanted = replace(self.wanted, roles=("base",), recipes=recipes, attributes=attributes)
        return carry_out(self.root, wanted, self.report.event, None, prove=None)

    def _guard(self, action: str, **arguments: Any) -> dict[str, Any]:
        return ask(self.root, {"command": "guard", "action": action, **arguments}, None)
