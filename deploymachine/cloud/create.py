"""A draft in, the id of one new server out, whatever becomes of the cloud's answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from deploymachine.cloud import describe, userdata
from deploymachine.cloud.each import Clock
from deploymachine.cloud.patience import LONGEST_PAUSE
from deploymachine.cloud.plan import Draft
from deploymachine.cloud.words import asked_to_wait, explained, passing, status_of
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection
    from openstack.network.v2.network import Network

ASK_AGAIN_AFTER = (1.0, 2.0, 5.0, 10.0)  # seconds after a bad moment of the cloud in which nothing was made


def create(
    connection: Connection,
    settings: Settings,
    draft: Draft,
    networks: Sequence[Network],
    group_ids: Sequence[str],
    admin_keys: Sequence[str],
    list_new: Callable[[], list[RawServer]],
    clock: Clock,
) -> str:
    """Make the server, once: an answer that gets lost makes no second one. Raises CloudError.

    list_new: lists the deployment's servers that were not there when this boot began.
    """
    body = _body(settings, draft, networks, group_ids, admin_keys)
    with explained(f"The cloud does not boot {draft.spec.name}"):
        for pause in (*ASK_AGAIN_AFTER, None):
            try:
                return str(connection.compute.create_server(**body).id)
            except Exception as error:
                if not passing(error) or status_of(error) in (413, 429):
                    raise
                # It was not answered, or answered by a tired proxy: it may have been made all the same.
                made = [raw for raw in list_new() if raw.name == draft.spec.name]
                if made:
                    return str(min(made, key=lambda raw: str(raw.created_at)).id)
                if pause is None or clock.expired():
                    raise
                clock.sleep(min(asked_to_wait(error) or pause, LONGEST_PAUSE))
    raise AssertionError  # the last turn returns or raises


def _body(
    settings: Settings, draft: Draft, networks: Sequence[Network], group_ids: Sequence[str], admin_keys: Sequence[str]
) -> dict[str, Any]:
    spec, key = draft.spec, userdata.new_host_key()
    config = userdata.cloud_config(spec.name, key, admin_keys)
    body: dict[str, Any] = {
        "name": spec.name,
        "flavor_id": draft.flavor.id,
        "networks": [{"uuid": str(network.id)} for network in networks],
        "security_groups": [{"name": group_id} for group_id in group_ids],
        "user_data": base64.b64encode(config.encode()).decode(),
        "metadata": {
            describe.DEPLOYMENT: settings.DEPLOYMENT,
            describe.TYPE: spec.type,
            describe.IMAGE: str(draft.image.name)[:255],
            describe.NETWORK: str(networks[0].name)[:255],
            describe.HOST_KEY: key.public,  # so that whoever finds this server again can pin it
        },
        **_disk(draft),
    }
    if draft.zone is not None:
        body["availability_zone"] = draft.zone
    if draft.server_group is not None:
        body["scheduler_hints"] = {"group": draft.server_group}
    return body


def _disk(draft: Draft) -> dict[str, Any]:
    """The flavor's own disk, or a volume made of the image, which goes with the server."""
    if draft.spec.volume is None:
        return {"image_id": draft.image.id}
    disk = {
        "boot_index": 0,
        "source_type": "image",
        "uuid": draft.image.id,
        "destination_type": "volume",
        "volume_size": draft.spec.volume,
        "delete_on_termination": True,
    }
    return {"block_device_mapping": [disk]}
