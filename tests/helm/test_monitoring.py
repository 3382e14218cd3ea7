"""The chart watches what it runs with the dashboards and alerts of the repository."""

from __future__ import annotations

import json

import pytest
import yaml

from helm.chart import CHART, ROOT, Rendered


@pytest.mark.parametrize("name", ["alerts.yaml", "whence.json"])
def test_the_charts_copies_are_those_of_the_repository(name: str) -> None:
    copy = (CHART / "dashboards" / name).read_text(encoding="utf-8")
    assert copy == (ROOT / "dashboards" / name).read_text(encoding="utf-8"), "run: make docs"


def test_every_alert_becomes_a_rule(everything: Rendered) -> None:
    (rule,) = everything.of_kind("PrometheusRule")
    assert rule["spec"] == yaml.safe_load((ROOT / "dashboards" / "alerts.yaml").read_text(encoding="utf-8"))
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_the_dashboard_is_found_by_its_label(everything: Rendered) -> None:
    dashboard = everything.named("ConfigMap", "dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    original = json.loads((ROOT / "dashboards" / "whence.json").read_text(encoding="utf-8"))
    assert json.loads(dashboard["data"]["whence.json"]) == original


def test_monitors_scrape_a_port_that_serves_metrics(everything: Rendered) -> None:
    (service,) = [endpoint["port"] for endpoint in everything.named("ServiceMonitor", "front-end")["spec"]["endpoints"]]
    assert service in {port["name"] for port in everything.named("Service", "front-end")["spec"]["ports"]}
    (pods,) = [end["port"] for end in everything.named("PodMonitor", "worker")["spec"]["podMetricsEndpoints"]]
    worker = everything.named("StatefulSet", "small-0")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": pods, "containerPort": 9091} in worker["ports"]
