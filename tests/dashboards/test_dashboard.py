"""The Grafana dashboard: every panel says what it shows, and shows what exists."""

from __future__ import annotations

import itertools
from typing import Any

import dashboard as script
import pytest
from dashboard_panels import Panel, Row, metrics_of

from dashboards.conftest import GRAFANA, selectors

TARGETS = {"job", "instance", "le"}  # labels that Prometheus and histograms add


@pytest.fixture(scope="session")
def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.fixture(scope="session")
def expressions(panels: list[dict[str, Any]]) -> list[str]:
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_every_panel_has_a_title_a_unit_and_a_description(panels):
    assert len(panels) > 30
    for panel in panels:
        assert panel["title"], panel
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_the_rows_are_those_that_an_operator_looks_for(dashboard):
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    for title in ("Traffic and errors", "Latency", "Queue", "Stages", "Cache of gradients", "Workers and shards"):
        assert title in rows
    assert {"Engine", "Index search", "Memory and processes", "Certificates"} <= set(rows)


def test_panels_do_not_lie_upon_each_other(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_expression_selects_documented_metrics_by_their_labels(expressions):
    families = script.families()
    for expression in expressions:
        assert selectors(expression)
        for name, labels in selectors(expression):
            (family,) = metrics_of(name)
            assert labels <= families[family].labels | TARGETS, expression
            assert {"job", "instance"} <= labels, expression


def test_every_documented_metric_of_ours_is_on_the_dashboard(expressions):
    """Broken by: a metric that somebody adds and nobody looks at."""
    shown = {name for expression in expressions for name in metrics_of(expression)}
    informative = {"whence_build_info", "whence_engine_info"}  # always 1
    assert {name for name in script.families() if name.startswith("whence_")} - informative == shown - {
        name for name in shown if name.startswith("process_")
    }


def test_every_expression_parses(expressions, promtool):
    rules = []
    for number, expression in enumerate(expressions):
        for variable, value in GRAFANA.items():
            expression = expression.replace(variable, value)
        rules.append({"record": f"panel:{number}", "expr": expression})
    said = promtool("check", "rules", content={"groups": [{"name": "panels", "rules": rules}]})
    assert f"SUCCESS: {len(expressions)} rules found" in said


def test_a_panel_about_an_unknown_metric_is_refused():
    panel = Panel(title="t", queries=(("", "sum(whence_calls_by_moonlight_total)"),))
    with pytest.raises(KeyError, match="moonlight"):
        script.dashboard((Row(title="r", panels=(panel,)),))
