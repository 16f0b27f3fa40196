"""Tests in, which of them share a process out: machines are booted once, not once a process."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

REST = "devcloud"
# In the order in which they begin: each process takes one of the first three, then of the others, long and short.
SHARE_A_PROCESS = {
    "types": "caches_and_tasks database_servers loadbalancers",
    REST: "",
    "main job": "main_job main_job_faults rework scaling bake",
    "every day": "around_sites everyday secret_rotation",
    "sites": "deploys third_party upkeep",
    "fleets": "fleets",
    "splitting": "splitting splitting_faults splitting_fixed splitting_logs splitting_tasks switchover lost_primary",
    "one server": "hardened_units hardening logs one_gigabyte",
}
GROUPS = {f"test_{word}.py": group for group, words in SHARE_A_PROCESS.items() for word in words.split()}


class OneDevcloudEach(LoadScopeScheduling):  # type: ignore[misc]
    """What boots machines runs in as many processes as there are groups; unit tests go where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        if path.startswith("tests/devcloud/"):
            return group_of(path)
        return path if path.startswith("tests/unit/matrix/") else nodeid  # its fleets are worked out once


def group_of(path: str) -> str:
    return GROUPS.get(path.rsplit("/", 1)[-1], REST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = [*SHARE_A_PROCESS]
    within = [f"test_{word}.py" for words in SHARE_A_PROCESS.values() for word in words.split()]

    def place(item: pytest.Item) -> tuple[int, int]:
        path = item.nodeid.split("::", 1)[0]
        name = path.rsplit("/", 1)[-1]
        known = within.index(name) if name in within else len(within)
        return (order.index(group_of(path)), known) if path.startswith("tests/devcloud/") else (len(order), 0)

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneDevcloudEach:
    return OneDevcloudEach(config, log)
