"""A launched server in, an image of it out that the next of its type boots from; the server itself is left alone.

It is snapshotted as it runs; a copy is booted from that, made nobody's (`seal`, which is not ours to do), stopped and
snapshotted again. Copy and first snapshot go. All of it bears marks, so that whatever an interruption leaves is found.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploymachine import adminkeys
from deploymachine.cloud import banner, describe, floating, leaks, lookup, owned, userdata
from deploymachine.cloud.cloudinit import until_done
from deploymachine.cloud.describe import BAKE
from deploymachine.cloud.each import Clock
from deploymachine.cloud.leaks import BAKING, RAW, READY
from deploymachine.cloud.progress import Progress
from deploymachine.cloud.watch import Watch, pauses
from deploymachine.cloud.words import explained, passing, status_of
from deploymachine.errors import CloudError, UsageError
from deploymachine.hostkeys import HostKeys, pinned_names
from deploymachine.inventory import Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.image.v2.image import Image

    Seal = Callable[[Server, str], None]  # (the copy, the token that its user-data wrote there)

FINGERPRINT = "deploymachine_fingerprint"  # properties of a baked image: of what is cooked on the type,
BASE = "deploymachine_base"  # and the id of the image that it all began with
FROM = "deploymachine_baked_from"
SNAPSHOT, COPY, SEAL, IMAGE, BAKED = "snapshot", "copy", "seal", "image", "baked"
PREFIX = "bake-of-"
# Before anything else starts on the copy: the sites of the original must not run twice.
QUIET = (
    "mkdir -p /etc/deploymachine && printf %s {token} > /etc/deploymachine/bake"
    " && rm -f /etc/supervisor/conf.d/site-*.conf /etc/nginx/sites-enabled/site-*.conf"
)


@dataclass(frozen=True)
class Baking:
    """One bake. fingerprint: of what is cooked on servers of its type."""

    watch: Watch
    clock: Clock
    progress: Progress
    fingerprint: str

    @property
    def connection(self) -> Connection:
        return self.watch.connection

    @property
    def settings(self) -> Settings:
        return self.watch.settings

    def run(self, raw: RawServer, seal: Seal) -> Image:
        """The image, active. Raises CloudError, UsageError, and what `seal` raises; nothing is left then."""
        marks = self._marks(raw)
        clear(self.connection, self.settings, self.clock)
        try:
            self.progress(raw.name, SNAPSHOT)
            first = self._snapshot(raw, f"{_name(self.settings, raw)}-raw", {**marks, BAKE: RAW})
            self.progress(raw.name, COPY)
            copy, token = self._copy(raw, first)
            self.progress(raw.name, SEAL)
            seal(copy, token)
            self.progress(raw.name, IMAGE)
            stopped = self._stopped(copy)
            name = f"{_name(self.settings, raw)}-{self.fingerprint[:8]}"
            return self._snapshot(stopped, name, {**marks, BAKE: READY})
        finally:
            clear(self.connection, self.settings, self.clock)

    def _marks(self, raw: RawServer) -> dict[str, str]:
        return {
            describe.DEPLOYMENT: self.settings.DEPLOYMENT,
            describe.TYPE: raw.metadata[describe.TYPE],
            FINGERPRINT: self.fingerprint,
            BASE: base_of(self.connection, raw),
            FROM: raw.name,
        }

    def _snapshot(self, raw: RawServer, name: str, properties: dict[str, str]) -> Image:
        """An image of the server's disk, active. Raises CloudError."""
        with explained(f"The cloud makes no image of {raw.name}", raw.id):
            image: Image = self.connection.compute.create_server_image(raw.id, name, properties)
        for pause in pauses():
            now = self._image_now(image)
            if now is not None and now.status == "active":
                return now
            if now is None or now.status in ("error", "killed", "deleted", "pending_delete"):
                raise CloudError(
                    f"The cloud gave up making an image of {raw.name}",
                    where=image.id,
                    hint="run the same command again",
                )
            if self.clock.expired():
                raise CloudError(f"The image {name} is still {now.status}", where=image.id)
            self.clock.sleep(pause)
        raise AssertionError  # pauses never end

    def _image_now(self, image: Image) -> Image | None:
        """The image as it is now; None once the cloud has thrown it away."""
        with explained(f"The image {image.name} was lost sight of", image.id):
            try:
                return self.connection.image.get_image(image.id)  # type: ignore[return-value] # version 2 everywhere
            except Exception as error:
                if status_of(error) == 404:
                    return None
                if self.clock.expired() or not passing(error):
                    raise
                return image

    def _copy(self, raw: RawServer, image: Image) -> tuple[Server, str]:
        """A server of the first snapshot that can be logged into as the original can, and its token."""
        name, key, token = f"{PREFIX}{raw.name}", userdata.new_host_key(), secrets.token_hex(16)
        config = userdata.cloud_config(name, key, adminkeys.read(self.settings))
        config += f"bootcmd:\n- [sh, -c, {QUIET.format(token=token)!r}]\n"
        with explained(f"The cloud does not boot a copy of {raw.name}"):
            ports = list(self.connection.network.ports(device_id=raw.id))
            flavor = describe.flavor_name(raw.flavor)
            made = self.connection.compute.create_server(
                name=name,
                image_id=image.id,
                flavor_id=lookup.flavors(self.connection, [flavor])[flavor].id,
                networks=[{"uuid": network} for network in dict.fromkeys(port.network_id for port in ports)],
                security_groups=[{"name": one} for one in {one for p in ports for one in p.security_group_ids or ()}],
                user_data=base64.b64encode(config.encode()).decode(),
                metadata={BAKING: self.settings.DEPLOYMENT, describe.HOST_KEY: key.public},
            )
        server = self._reachable(self.watch.until_active(name, made.id, self.clock))
        HostKeys(self.settings).pin(name, server.address, self.settings.SSH_PORT, key.public)
        self._until_it_answers(server)
        return server, token

    def _reachable(self, raw: RawServer) -> Server:
        raw = self.watch.until_addressed(raw, self.clock)
        server = describe.server(raw, self.settings.private_network, {})
        if self.settings.OPENSTACK_FLOATING_IP_POOL is None or server.public_ip:
            return server
        pool = lookup.floating_pool(self.connection, self.settings.OPENSTACK_FLOATING_IP_POOL)
        network = lookup.network(self.connection, self.settings.private_network)
        mark = floating.owner_mark(self.settings.DEPLOYMENT, raw.name)
        address = floating.ensure(self.connection, pool.id, network.id, raw.id, mark)
        return describe.with_public_ip(server, address)

    def _until_it_answers(self, server: Server) -> None:
        port = self.settings.SSH_PORT
        for pause in pauses():
            if banner.answering_port(server.address, (port,)):
                until_done(server, port, self.settings, self.clock)
                return
            if self.clock.expired():
                raise CloudError(
                    f"The copy {server.name} does not answer on port {port}",
                    where=server.where,
                    hint="is the server that is baked provisioned? A copy of it lets nobody in elsewhere",
                )
            self.clock.sleep(pause)

    def _stopped(self, server: Server) -> RawServer:
        with explained(f"{server.name} can't be stopped", server.id):
            self.connection.compute.stop_server(server.id)
        return self.watch.until_off(server.name, server.id, self.clock)


def base_of(connection: Connection, raw: RawServer) -> str:
    """The id of the image that the server began with; for one booted from a baked image, that image's own base.

    Raises UsageError where it can't be told.
    """
    own = getattr(raw.image, "id", None)
    if not own:
        raise UsageError(
            f"{raw.name} can't be baked", why="it boots from a volume: there is no image of it to make a next one from"
        )
    with explained("The images can't be looked at"):
        try:
            properties = connection.image.get_image(own).properties or {}
        except Exception as error:
            if status_of(error) != 404:
                raise
            properties = {}
    if not properties and str(raw.metadata.get(describe.IMAGE, "")).startswith(f"{_prefix(raw)}-"):
        raise UsageError(
            f"{raw.name} can't be baked",
            why="it was booted from a baked image that is gone, so what that began with is not known",
            hint="bake a server that was booted from a plain image (`--no-baked`), or rebuild this one first",
        )
    return str(properties.get(BASE, own))


def current(connection: Connection, settings: Settings, kind: str, fingerprint: str, base: str) -> Image | None:
    """The newest baked image of the type that is cooked as servers are now, from that base. Raises CloudError."""
    wanted = {describe.TYPE: kind, BAKE: READY, FINGERPRINT: fingerprint, BASE: base}
    fitting = (image for image in baked(connection, settings, kind) if wanted.items() <= image.properties.items())
    return next(fitting, None)


def baked(connection: Connection, settings: Settings, kind: str) -> list[Image]:
    """The baked images of the type, the newest first. Raises CloudError."""
    with explained("The images can't be listed"):
        ours = leaks.ours_newest_first(connection, settings)
    wanted = {describe.TYPE: kind, BAKE: READY}
    return [image for image in ours if image.status == "active" and wanted.items() <= image.properties.items()]


def clear(connection: Connection, settings: Settings, clock: Clock) -> None:
    """Remove what bakes that did not end left behind, and images that newer ones replaced. Raises CloudError."""
    found = leaks.of_bakes(connection, settings)
    leaks.delete(connection, settings, found)
    copies = {leak.name for leak in found if leak.kind == "server"}
    for name in copies | {name for name in pinned_names(settings.directory) if name.startswith(PREFIX)}:
        owned.release(connection, settings, name, clock)
        HostKeys(settings).unpin(name)


def _name(settings: Settings, raw: RawServer) -> str:
    return f"deploymachine-{settings.DEPLOYMENT}-{raw.metadata[describe.TYPE]}"


def _prefix(raw: RawServer) -> str:
    return f"deploymachine-{raw.metadata.get(describe.DEPLOYMENT)}-{raw.metadata.get(describe.TYPE)}"
