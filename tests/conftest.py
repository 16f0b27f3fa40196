"""Collected tests in, each with the worker group it belongs to out: machines are booted once, not once a worker."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before the worker reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares the fleet runs in one worker, other machines in a second; the rest goes where there is room."""
    for item in items:
        if item.get_closest_marker("devcloud") is not None:
            shares_fleet = "fleet" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("fleet" if shares_fleet else "machines"))
