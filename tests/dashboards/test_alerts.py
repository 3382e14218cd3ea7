"""The rules for Prometheus: each alert explains itself, fires where it should, and does not where it should not.

A case is what Prometheus scraped, once a minute, in promtool's notation, and the two moments at which one alert, and no
other, does not fire yet or any more, and does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dashboard as script
import pytest
from dashboard_panels import metrics_of

from dashboards.conftest import ALERTS, selectors

TARGETS = {"job", "instance", "le"}
DAY_S = 86400
FRONT, WORKER = 'job="front",instance="f"', 'job="worker",instance="w"'
ATTRIBUTE = f'{FRONT},method="whence.v1.AttributionService/Attribute"'
CALLS = f"whence_rpc_requests_total{{{ATTRIBUTE}"
EXPIRY = f'whence_certificate_expiry_timestamp_seconds{{{FRONT},setting="tls_certificate"}}'
GET = f'{WORKER},operation="get"'


@dataclass(frozen=True, kw_only=True)
class Case:
    """The samples, the minute at which the alert is quiet and that at which it fires, alone.

    Where it has to last, it is quiet at a minute at which its condition holds already.

    ``before`` is an alert that fires until this one does.
    """

    series: dict[str, str]
    quiet_m: int
    fires_m: int
    before: str = ""


def artefacts(digest: str) -> str:
    digests = f'model="tiny",model_digest="m",factors_digest="{digest}",corpus_digest="c"'
    return f'whence_artefacts_loaded_info{{job="worker",instance="{digest}",{digests}}}'


def durations(le: str) -> str:
    return f'whence_rpc_duration_seconds_bucket{{{ATTRIBUTE},le="{le}",code="OK"}}'


def waits(le: str) -> str:
    return f'whence_queue_wait_seconds_bucket{{{FRONT},le="{le}"}}'


CASES = {
    "WhenceAbsent": Case(series={f"whence_build_info{{{FRONT}}}": "1x5 stale"}, quiet_m=9, fires_m=12),
    "WhenceNoModelServed": Case(series={f"whence_models_served{{{FRONT}}}": "1x9 0x10"}, quiet_m=10, fires_m=12),
    "WhenceModelIncomplete": Case(series={f"whence_models_incomplete{{{FRONT}}}": "0x9 1x10"}, quiet_m=11, fires_m=14),
    "WhenceWorkersUnreachable": Case(
        series={f'whence_workers{{{FRONT},state="unreachable"}}': "1x5 0x5 2x20"}, quiet_m=19, fires_m=23
    ),
    "WhenceWorkersLost": Case(
        series={
            f"whence_failovers_total{{{FRONT}}}": "0x20 0+2x20",
            f"whence_calls_begun_anew_total{{{FRONT}}}": "0x40",
        },
        quiet_m=20,
        fires_m=30,
    ),
    "WhenceRolloutUnfinished": Case(series={artefacts("a"): "1x100", artefacts("b"): "1x100"}, quiet_m=59, fires_m=61),
    "WhenceRestarts": Case(
        series={
            f"process_start_time_seconds{{{WORKER}}}": "5x10 6x5 7x5 8x20",
            f"whence_build_info{{{WORKER}}}": "1x40",
            'process_start_time_seconds{job="another",instance="w"}': "5x5 6x5 7x5 8x5 9x20",
        },
        quiet_m=20,
        fires_m=24,
    ),
    "WhenceErrorRatio": Case(
        series={f'{CALLS},code="OK"}}': "0+90x40", f'{CALLS},code="UNAVAILABLE"}}': "0+1x20 30+10x20"},
        quiet_m=25,
        fires_m=35,
    ),
    "WhenceInternalErrors": Case(
        series={f'{CALLS},code="OK"}}': "0+900x40", f'{CALLS},code="INTERNAL"}}': "0x20 1x20"}, quiet_m=20, fires_m=22
    ),
    "WhenceLatency": Case(
        series={durations("60"): "0+10x20 200x40", durations("150"): "0+10x60", durations("+Inf"): "0+10x60"},
        quiet_m=30,
        fires_m=45,
    ),
    "WhenceDeadlinesExceeded": Case(
        series={f'{CALLS},code="OK"}}': "0+90x60", f'{CALLS},code="DEADLINE_EXCEEDED"}}': "0+1x20 20+10x40"},
        quiet_m=28,
        fires_m=40,
    ),
    "WhenceQueueFull": Case(
        series={f'whence_rejections_total{{{FRONT},reason="QUEUE_FULL"}}': "0x20 0+5x20"}, quiet_m=24, fires_m=30
    ),
    "WhenceQueueWait": Case(
        series={waits("10"): "0+10x20 200x40", waits("25"): "0+10x60", waits("+Inf"): "0+10x60"}, quiet_m=27, fires_m=40
    ),
    "WhenceQuotaRefusals": Case(
        series={f'whence_quota_refusals_total{{{FRONT},tenant="acme",quota="calls"}}': "0x20 0+5x40"},
        quiet_m=30,
        fires_m=40,
    ),
    "WhenceAuditLinesLost": Case(
        series={
            f'whence_audit_lines_total{{{FRONT},outcome="written"}}': "0+9x40",
            f'whence_audit_lines_total{{{FRONT},outcome="dropped"}}': "0x20 3x20",
        },
        quiet_m=20,
        fires_m=22,
    ),
    "WhenceDrainCutsCalls": Case(
        series={
            f"whence_drain_end_timestamp_seconds{{{FRONT}}}": "0x5 370x10",
            f"whence_queue_running{{{FRONT}}}": "4x20",
            'whence_drain_end_timestamp_seconds{job="front",instance="idle"}': "370x20",
            'whence_queue_running{job="front",instance="idle"}': "0x20",
        },
        quiet_m=5,
        fires_m=6,
    ),
    "WhenceRedisBreakerOpen": Case(
        series={f'whence_cache_operations_total{{{GET},layer="redis",outcome="skipped"}}': "0x20 0+3x20"},
        quiet_m=24,
        fires_m=30,
    ),
    "WhenceCacheErrors": Case(
        series={f'whence_cache_operations_total{{{GET},layer="redis",outcome="timeout"}}': "0x20 0+2x20"},
        quiet_m=20,
        fires_m=30,
    ),
    "WhenceCacheMisses": Case(
        series={
            f'whence_cache_operations_total{{{GET},layer="memory",outcome="miss"}}': "0+60x200",
            f'whence_cache_operations_total{{{GET},layer="redis",outcome="hit"}}': "0+30x60 1800x140",
        },
        quiet_m=120,
        fires_m=148,
    ),
    "WhenceCertificateExpires": Case(series={EXPIRY: f"{7 * DAY_S + 600}x20"}, quiet_m=5, fires_m=15),
    "WhenceCertificateExpiresToday": Case(
        series={EXPIRY: f"{DAY_S + 600}x20"}, quiet_m=5, fires_m=15, before="WhenceCertificateExpires"
    ),
    "WhenceCertificateRejected": Case(
        series={f'whence_certificates_rejected{{{FRONT},hop="server"}}': "0x10 1x20"}, quiet_m=12, fires_m=20
    ),
}


@pytest.fixture(scope="session")
def alerts(groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_the_rules_are_valid(promtool, groups):
    assert "SUCCESS" in promtool("check", "rules", content={"groups": groups})


def test_every_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(alerts):
    for name, alert in alerts.items():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert alert["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"


def test_every_rule_selects_documented_metrics_by_their_labels(groups):
    families = script.families()
    for rule in (rule for group in groups for rule in group["rules"]):
        for name, labels in selectors(rule["expr"]):
            (family,) = metrics_of(name)
            assert labels <= families[family].labels | TARGETS, rule["expr"]


def test_every_recorded_metric_in_use_is_recorded(groups):
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    used = {name for rule in rules for name in re.findall(r"\b(?:job|job_method):\w+:\w+", rule["expr"])}
    assert used == recorded


def test_every_alert_is_tried(alerts):
    assert set(CASES) == set(alerts)


def test_each_alert_fires_when_it_should_and_not_before(promtool):
    """Broken by: a threshold, a selector or a duration that is another; a second alert about the same thing."""
    tests = [test for name, case in CASES.items() for test in unit_tests(name, case)]
    promtool("test", "rules", content={"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})


def test_a_description_names_labels_that_the_alert_has(promtool, alerts):
    """Broken by: an aggregation that leaves out what the description says, which then has a hole."""
    tests = [test for name, case in CASES.items() for test in unexpected(name, case)]
    said = promtool("test", "rules", content={"rule_files": [str(ALERTS)], "tests": tests}, rc=1)
    fired = {labels.pop("alertname"): labels for labels in map(labels_of, re.findall(r"Labels:\{(.*?)\}", said))}
    assert set(fired) == set(alerts)
    for name, alert in alerts.items():
        named = re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"])
        assert all(fired[name].get(label) for label in named), name


def labels_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', text))


def unexpected(name: str, case: Case) -> Iterator[dict[str, Any]]:
    """Yield a test that fails and says what labels the alert has, since it expects none."""
    yield {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [{"eval_time": f"{case.fires_m}m", "alertname": name, "exp_alerts": []}],
    }


def unit_tests(name: str, case: Case) -> Iterator[dict[str, Any]]:
    """Yield promtool's test of a case: the alerts that fire at its two moments are none, and the one."""
    others = "" if name == "WhenceAbsent" else ', alertname!="WhenceAbsent"'
    firing = f'count by (alertname) (ALERTS{{alertstate="firing"{others}}})'
    quiet, alone = [
        [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if alert else [] for alert in (case.before, name)
    ]
    yield {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{case.quiet_m}m", "exp_samples": quiet},
            {"expr": firing, "eval_time": f"{case.fires_m}m", "exp_samples": alone},
        ],
    }


def test_every_runbook_entry_exists(alerts):
    text = (Path(ALERTS).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [name for name in alerts if f"### {name}\n" not in text] == []
