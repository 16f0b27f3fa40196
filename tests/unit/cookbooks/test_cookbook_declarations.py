"""What the recipes of each cookbook declare for given attributes: cases/*.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['what']}")
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
]


@pytest.mark.parametrize("case", CASES)
def test_recipes_declare_what_is_expected_in_that_order(case, declare):
    declared = [str(resource) for resource in declare(*case["recipes"], **case["attributes"]).resource_list]
    assert [name for name in declared if name in case["expect"]] == case["expect"]
    assert [name for name in declared if name in case.get("absent", [])] == []
