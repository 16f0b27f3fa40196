"""A launched server in, an image for the next of its type out; and servers to boot in, the same from that image out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from deploymachine import servertypes, ssh
from deploymachine.converge import Event, run
from deploymachine.cook import checked, sudo_password
from deploymachine.errors import UsageError
from deploymachine.inventory import Server
from deploymachine.provision import is_provisioned
from deploymachine.report import Report
from deploymachine.runlist import code_of
from deploymachine.servertypes import Deployment

if TYPE_CHECKING:
    from deploymachine.cloud import BootSpec, Cloud
    from deploymachine.settings import Settings

NOT_SEALED = "dbserver"  # what it keeps is not taken off the copy


def bake(
    cloud: Cloud, server: Server, deployment: Deployment, report: Report, progress: Callable[[str, str], None]
) -> str:
    """Make an image of a launched server, without anything of its own; its name. The server goes on serving.

    Raises what went wrong; nothing is left of the attempt then, or, where it was killed, a repeat removes it.
    """
    _check(server, deployment)

    def show(_copy: Server, event: Event) -> None:
        report.event(server, event)  # in the original's row: the copy is nobody a user knows

    def seal(copy: Server, token: str) -> None:
        settings, secrets = deployment.settings, deployment.secrets.every()
        request = {"command": "seal", "token": token, "user": settings.DEPLOY_USERNAME, "secrets": secrets}
        with ssh.connect(copy, ssh.login(copy, settings), settings) as connection:
            checked(run(connection, request, show, sudo_password=sudo_password(copy, deployment)))

    return cloud.bake(server.name, code_of(server.type, deployment.settings), seal, progress)


def _check(server: Server, deployment: Deployment) -> None:
    if NOT_SEALED in servertypes.parts(server.type):
        raise UsageError(
            f"{server.name} can't be baked",
            where=server.where,
            why=f"it is a {server.type}: its databases would be in the image, and in every server that boots from it",
            hint="a server of another type can: `fab openstack_bake appnode1`",
        )
    if not is_provisioned(server, deployment):
        raise UsageError(
            f"{server.name} can't be baked",
            where=server.where,
            why="it is not provisioned, or does not answer",
            hint=f"`fab root provision` and `fab {server.type} launch` make it what is worth baking",
        )


def from_baked(cloud: Cloud, settings: Settings, specs: Sequence[BootSpec]) -> tuple[list[BootSpec], list[str]]:
    """The same servers, new ones of baked types from the baked image; and a line on each image for the user.

    Servers whose image somebody chose, on the command line or in OPENSTACK_SERVERS, boot from that one.
    """
    there = {server.name for server in cloud.servers()}
    new = [spec for spec in specs if spec.image is None and spec.volume is None and spec.name not in there]
    images: dict[str, str | None] = {}
    lines = []
    for kind in sorted({spec.type for spec in new}):
        images[kind], name = cloud.baked_image(kind, partial(code_of, kind, settings))
        if images[kind] is not None:
            lines.append(f"{kind}: booting from the baked image {name}")
        elif name is not None:
            lines.append(
                f"{kind}: {name} was baked of other cookbooks or another image than today's, so it is not used;"
                f" `fab openstack_bake NAME` makes a new one"
            )
    return [replace(spec, image=images[spec.type]) if spec in new else spec for spec in specs], lines
