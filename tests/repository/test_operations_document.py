"""docs/operations.md names what exists: metrics, settings, reasons, panels and options."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from whence.reasons import Reason
from whence_backends.worker.config import WorkerSettings
from whence_service.frontend.config import FrontEndSettings

# Names that are neither settings nor metrics: of the protocol, of an index, of Prometheus, values of labels.
OTHERS = {"return_partial_success", "bytes_per_sequence", "runbook_url", "rule_files", "forward_backward", "too_large"}
CODES = {"UNAVAILABLE", "SERVING", "NOT_SERVING", "INTERNAL", "DATA_LOSS"}


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_name_is_a_setting_or_a_metric(root: Path, text: str) -> None:
    names = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)\b[^`]*`", text))
    metrics = set(re.findall(r"`((?:whence|process)_\w+)`", (root / "docs" / "metrics.md").read_text(encoding="utf-8")))
    settings = set(FrontEndSettings.model_fields) | set(WorkerSettings.model_fields)
    assert len(names & settings) > 10
    assert len(names & metrics) > 5
    assert names - metrics - settings == OTHERS


def test_every_reason_is_one(text: str) -> None:
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text)) - CODES <= set(Reason)


def test_every_panel_that_the_runbook_names_is_on_the_dashboard(root: Path, text: str) -> None:
    dashboard = json.loads((root / "dashboards" / "whence.json").read_text(encoding="utf-8"))
    titles = {panel["title"] for panel in dashboard["panels"]}
    named = {" ".join(name.split()) for name in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text)}
    assert len(named) > 3
    assert named <= titles


def test_the_defaults_that_it_states_are_those_of_the_settings(text: str) -> None:
    fields = {**FrontEndSettings.model_fields, **WorkerSettings.model_fields}
    units = {"": 1, "GiB": 1 << 30, "MiB": 1 << 20, "ms": 1e-3}
    stated = re.findall(r"`(\w+)` \((\d+)(?: (\w+))?\)", text)
    assert len(stated) > 5
    for name, number, unit in stated:
        assert fields[name].default == int(number) * units[unit], name


def test_a_worker_that_drains_is_noticed_before_it_refuses_calls() -> None:
    assert FrontEndSettings.model_fields["refresh_s"].default < WorkerSettings.model_fields["drain_s"].default
