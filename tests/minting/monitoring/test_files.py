"""Dashboard, alert rules and their page name what is exported, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from gridtoken.env import BASE_DIR
from minting.monitoring import page, published

FILES = BASE_DIR / "deploy" / "monitoring"
PAGE = (BASE_DIR / "docs" / "monitoring.md").read_text()
SUFFIXES = {"gauge": [""], "counter": ["_total"], "info": ["_info"]}
SUFFIXES["histogram"] = ["_bucket", "_count", "_sum"]


@pytest.fixture
def exported(db: None) -> dict[str, str]:
    """Names of all samples there may be, and the family that each is of."""
    families = [*page.ask_tables(), *published.families()]
    names = {"gridtoken_build_info": "gridtoken_build_info"}
    for family in families:
        ends = SUFFIXES[family.type]
        documented = f"{family.name}{ends[0] if len(ends) == 1 else ''}"
        names |= {f"{family.name}{end}": documented for end in ends}
    return names


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FILES / "grafana-dashboard.json").read_text())[
        "panels"
    ]
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def named(expression: str) -> set[str]:
    return set(re.findall(r"gridtoken_[a-z_]+", expression))


def expressions() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (rule["expr"] for rule in rules())


def test_every_expression_is_of_what_is_exported(exported: dict[str, str]):
    used = [named(expression) for expression in expressions()]

    assert len(used) > 60
    assert set().union(*used) <= exported.keys()
    # up is Prometheus' own; all others are ours.
    assert [expression for expression in expressions() if not named(expression)] == [
        'up{job="gridtoken"} == 0'
    ]


def test_every_series_is_in_the_page_and_no_other(exported: dict[str, str]):
    table = PAGE.partition("| series |")[2].partition("## Alerts")[0]

    assert named(table) == set(exported.values())


def test_every_alert_has_its_paragraph_with_its_severity():
    alerts = PAGE.partition("## Alerts")[2].partition("## The digest")[0]
    told = dict(re.findall(r"### (\w+)\n(\w+)\.", alerts))

    assert told == {rule["alert"]: rule["labels"]["severity"].capitalize() for rule in rules()}
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"


def test_panels_stand_beside_each_other():
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        grid = panel["gridPos"]
        cells = {
            (grid["x"] + across, grid["y"] + down)
            for across in range(grid["w"])
            for down in range(grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        taken |= cells
