"""Tests in, which of them share a process out: machines are booted once, not once a process."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

SHARE_A_PROCESS = {
    "main job": "bake main_job main_job_faults rework scaling",
    "types": "caches_and_tasks database_servers hardened_units hardening loadbalancers logs one_gigabyte",
    "fleets": "fleets",
}
GROUPS = {f"test_{word}.py": group for group, words in SHARE_A_PROCESS.items() for word in words.split()}


class OneDevcloudEach(LoadScopeScheduling):  # type: ignore[misc]
    """What boots machines runs in as many processes as there are groups; unit tests go where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        if path.startswith("tests/devcloud/"):
            return GROUPS.get(path.rsplit("/", 1)[-1], "devcloud")
        return path if path.startswith("tests/unit/matrix/") else nodeid  # its fleets are worked out once


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneDevcloudEach:
    return OneDevcloudEach(config, log)
