"""Nova's limits and quotas: what the project may have and has, in the words of the request's microversion."""

from __future__ import annotations

from flask import Blueprint

from deploymachine.devcloud.api import Cloud, Json, body_of
from deploymachine.devcloud.api_compute import at_least
from deploymachine.devcloud.state import PROJECT, Refused

UNLIMITED = -1
NAMES = {  # as limits call what quotas call so
    "cores": ("maxTotalCores", "totalCoresUsed"),
    "instances": ("maxTotalInstances", "totalInstancesUsed"),
    "ram": ("maxTotalRAMSize", "totalRAMUsed"),
    "server_groups": ("maxServerGroups", "totalServerGroupsUsed"),
    "key_pairs": ("maxTotalKeypairs", ""),
    "metadata_items": ("maxServerMeta", ""),
    "server_group_members": ("maxServerGroupMembers", ""),
}
FILE_LIMITS: Json = {"maxPersonality": 5, "maxPersonalitySize": 10240}
NETWORK_LIMITS: Json = {
    "maxTotalFloatingIps": UNLIMITED,
    "maxSecurityGroups": UNLIMITED,
    "maxSecurityGroupRules": UNLIMITED,
    "totalFloatingIpsUsed": 0,
    "totalSecurityGroupsUsed": 0,
}
FILE_QUOTAS = ("injected_file_content_bytes", "injected_file_path_bytes", "injected_files")
GROUP_QUOTAS = ("server_groups", "server_group_members")
NETWORK_QUOTAS = ("fixed_ips", "floating_ips", "security_group_rules", "security_groups", "networks")
PATH = "/v2.1/os-quota-sets/<identity>"


def register(api: Blueprint, cloud: Cloud) -> None:
    quotas = cloud.networking.quotas

    @api.get("/v2.1/limits")
    def limits() -> Json:
        return {"limits": {"rate": [], "absolute": absolute_limits(cloud)}}

    @api.get(PATH)
    def quota(identity: str) -> Json:
        return {"quota_set": {"id": ours(identity), **quota_set(quotas.limits("compute"))}}

    @api.get(f"{PATH}/defaults")
    def default_quota(identity: str) -> Json:
        return {"quota_set": {"id": ours(identity), **quota_set(quotas.defaults("compute"))}}

    @api.get(f"{PATH}/detail")
    def quota_detail(identity: str) -> Json:
        shown, used = quota_set(quotas.limits("compute")), quotas.used("compute")
        rows = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in shown.items()}
        return {"quota_set": {"id": ours(identity), **rows}}

    @api.put(PATH)
    def change_quota(identity: str) -> Json:
        ours(identity)
        quotas.change_compute(body_of("quota_set"))
        return {"quota_set": quota_set(quotas.limits("compute"))}

    @api.delete(PATH)
    def reset_quota(identity: str) -> tuple[str, int]:
        ours(identity)
        quotas.reset("compute")
        return "", 202


def ours(identity: str) -> str:
    if identity != PROJECT:
        raise Refused(400, f"Project ID {identity} is not a valid project.")
    return identity


def quota_set(limits: dict[str, int]) -> Json:
    dropped = (FILE_QUOTAS if at_least(57) else ()) + (() if at_least(50) else GROUP_QUOTAS)
    shown = {name: limit for name, limit in limits.items() if name not in dropped}
    return shown if at_least(36) else {**shown, **dict.fromkeys(NETWORK_QUOTAS, UNLIMITED)}


def absolute_limits(cloud: Cloud) -> Json:
    allowed, used = cloud.networking.quotas.limits("compute"), cloud.networking.quotas.used("compute")
    shown: Json = {told: allowed[name] for name, (told, _) in NAMES.items()}
    shown |= {told: used[name] for name, (_, told) in NAMES.items() if told}
    older = ((57, FILE_LIMITS), (39, {"maxImageMeta": allowed["metadata_items"]}), (36, NETWORK_LIMITS))
    for minor, dropped in older:
        if not at_least(minor):
            shown |= dropped
    return shown
