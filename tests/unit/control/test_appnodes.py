"""appnodes: whose word they take, and what memory their sites have."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploymachine.errors import SettingsError
from deploymachine.inventory import Inventory, Server
from deploymachine.servertypes import Deployment, attributes
from deploymachine.settings import load


def test_where_a_visitor_came_from_is_believed_of_the_balancers_alone(deployment: Deployment) -> None:
    second = Server("all1", "appbalancer", "10.0.0.12")
    found = Deployment(deployment.settings, Inventory([*deployment.inventory, second]), deployment.secrets)
    believed = attributes(found.inventory.named("appnode1"), found)["gunicorn.forwarded_allow_ips"]
    assert believed.split(",") == ["10.0.0.11", "10.0.0.12", "10.0.0.21"]  # its own: a release is tried from there


def test_the_memory_of_a_site_and_of_the_flavor_reach_the_server(directory: Path, deployment: Deployment) -> None:
    path = directory / "settings.py"
    path.write_text(f'{path.read_text()}\nSITES["blog"]["memory_mb"] = 700\n')
    small = Server("appnode9", "appnode", "10.0.0.29", memory_mb=1024)
    found = Deployment(load(directory), Inventory([*deployment.inventory, small]), deployment.secrets)
    told = attributes(small, found)
    assert (told["django.sites"][0]["memory_mb"], told["gunicorn.memory_mb"]) == (700, 1024)


@pytest.mark.parametrize("value", ["10", "'much'"])
def test_memory_that_is_none_is_refused(directory: Path, value: str) -> None:
    path = directory / "settings.py"
    path.write_text(f'{path.read_text()}\nSITES["blog"]["memory_mb"] = {value}\n')
    with pytest.raises(SettingsError, match=r"SITES\['blog'\]\['memory_mb'\]"):
        load(directory)
