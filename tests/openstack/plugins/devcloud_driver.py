"""Nova's virt driver whose servers are devcloud's machines: real systemd, sshd and cloud-init at the port's address.

What a machine can't do (migrate, attach volumes, shelve) stays as Nova's own fake driver answers it.
"""

from __future__ import annotations

import base64
import io
import time
from typing import Any

from devcloud_hypervisor import Guest, Link, opened
from nova import exception
from nova.compute import power_state, task_states
from nova.image import glance
from nova.virt import fake, hardware

from deploymachine.errors import DevcloudError

SLOW = "m1.slow"  # a server of this flavor is in BUILD for a while
SLOWLY = 8  # seconds


class Devcloud(fake.FakeDriverWithoutFakeNodes):
    """One host, of a size that makes "no valid host" believable."""

    vcpus = 64
    memory_mb = 131072
    local_gb = 2048

    def init_host(self, host: str) -> None:
        super().init_host(host)
        self.hypervisor = opened()

    def spawn(self, context: Any, instance: Any, image_meta: Any, *args: Any, **rest: Any) -> None:
        super().spawn(context, instance, image_meta, *args, **rest)
        if instance.flavor.name == SLOW:
            time.sleep(SLOWLY)
        try:
            self.hypervisor.boot(self._defined(instance, image_meta, rest["network_info"]))
        except DevcloudError as error:
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=str(error)) from error

    def _defined(self, instance: Any, image_meta: Any, network_info: Any) -> Guest:
        return self.hypervisor.define(
            instance.uuid,
            [_link(vif) for vif in network_info],
            image_meta.id,
            hostname=instance.hostname,
            image=image_meta.name,
            memory_mb=instance.flavor.memory_mb,
            user_data=base64.b64decode(instance.user_data or "").decode(errors="surrogateescape"),
            keys=tuple(filter(None, [instance.key_data])),
            metadata=dict(instance.metadata),
        )

    def destroy(self, context: Any, instance: Any, *args: Any, **rest: Any) -> None:
        self.hypervisor.destroy(instance.uuid)
        super().destroy(context, instance, *args, **rest)

    def power_off(self, instance: Any, *args: Any, **rest: Any) -> None:
        self.hypervisor.power_off(self._guest(instance))
        super().power_off(instance, *args, **rest)

    def power_on(self, context: Any, instance: Any, *args: Any, **rest: Any) -> None:
        self.hypervisor.boot(self._guest(instance))
        super().power_on(context, instance, *args, **rest)

    def reboot(self, context: Any, instance: Any, network_info: Any, reboot_type: str, *args: Any, **rest: Any) -> None:
        guest = self._guest(instance)
        (self.hypervisor.kill if reboot_type == "HARD" else self.hypervisor.power_off)(guest)
        self.hypervisor.boot(guest)

    def migrate_disk_and_power_off(self, context: Any, instance: Any, *args: Any, **rest: Any) -> str:
        self.hypervisor.power_off(self._guest(instance))
        return ""

    def finish_migration(self, context: Any, migration: Any, instance: Any, *args: Any, **rest: Any) -> None:
        self._boot_as(instance)

    def finish_revert_migration(self, context: Any, instance: Any, *args: Any, **rest: Any) -> None:
        self._boot_as(instance)

    def _boot_as(self, instance: Any) -> None:
        self.hypervisor.boot(self.hypervisor.resize(self._guest(instance), instance.flavor.memory_mb))

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Any) -> None:
        """The disk stays with the hypervisor; Glance gets words in its place."""
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        self.hypervisor.save(instance.uuid, image_id)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        form = {"disk_format": "raw", "container_format": "bare"}
        glance.API().update(context, image_id, form, io.BytesIO(instance.uuid.encode()))

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        self._guest(instance)
        alive = self.hypervisor.alive(instance.uuid)
        return hardware.InstanceInfo(state=power_state.RUNNING if alive else power_state.SHUTDOWN)

    def get_console_output(self, context: Any, instance: Any) -> str:
        return self.hypervisor.console(instance.uuid)

    def _guest(self, instance: Any) -> Guest:
        guest = self.hypervisor.guest(instance.uuid)
        if guest is None:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return guest


def _link(vif: Any) -> Link:
    subnet = vif["network"]["subnets"][0]
    prefix = subnet["cidr"].partition("/")[2]
    return Link(f"{vif.fixed_ips()[0]['address']}/{prefix}", subnet["gateway"]["address"] or "", vif["address"])
