"""Nova's half of volumes: what is attached to a server, in the words of the request's microversion."""

from __future__ import annotations

from flask import Blueprint

from deploymachine.devcloud.api import Cloud, Json, body_of, page
from deploymachine.devcloud.api_compute import at_least
from deploymachine.devcloud.assets import Attachment
from deploymachine.devcloud.state import Refused


def register(api: Blueprint, cloud: Cloud) -> None:
    compute, attaching = cloud.compute, cloud.compute.attaching

    @api.get("/v2.1/servers/<identity>/os-volume_attachments")
    def attachments(identity: str) -> Json:
        compute.server(identity)
        rows = [show(one) for one in cloud.volumes.attachments(server=identity)]
        return {"volumeAttachments": page(rows, "volumeId")}

    @api.post("/v2.1/servers/<identity>/os-volume_attachments")
    def attach(identity: str) -> Json:
        asked = body_of("volumeAttachment")
        if "volumeId" not in asked:
            words = f"Value: {asked}. 'volumeId' is a required property"
            raise Refused(400, f"Invalid input for field/attribute volumeAttachment. {words}")
        ends = bool(asked.get("delete_on_termination")) and at_least(79)
        made = attaching.attach(identity, str(asked["volumeId"]), ends_with_server=ends, tag=asked.get("tag"))
        return {"volumeAttachment": show(made)}

    @api.get("/v2.1/servers/<identity>/os-volume_attachments/<volume>")
    def attachment(identity: str, volume: str) -> Json:
        return {"volumeAttachment": show(attaching.attachment(identity, volume))}

    @api.put("/v2.1/servers/<identity>/os-volume_attachments/<volume>")
    def change_attachment(identity: str, volume: str) -> tuple[str, int]:
        asked = body_of("volumeAttachment")
        if not at_least(85) or asked.get("volumeId", volume) != volume:
            raise Refused(403, "Policy doesn't allow os_compute_api:os-volumes-attachments:swap to be performed.")
        attaching.keep(identity, volume, ends_with_server=bool(asked.get("delete_on_termination")))
        return "", 202

    @api.delete("/v2.1/servers/<identity>/os-volume_attachments/<volume>")
    def detach(identity: str, volume: str) -> tuple[str, int]:
        attaching.detach(identity, volume)
        return "", 202


def show(attachment: Attachment) -> Json:
    shown = {"serverId": attachment.server_id, "volumeId": attachment.volume_id, "device": attachment.device}
    shown |= (
        {"attachment_id": attachment.id, "bdm_uuid": attachment.id} if at_least(89) else {"id": attachment.volume_id}
    )
    newer: list[tuple[int, Json]] = [
        (70, {"tag": attachment.tag}),
        (79, {"delete_on_termination": attachment.ends_with_server}),
    ]
    return {**shown, **{name: value for minor, added in newer if at_least(minor) for name, value in added.items()}}
