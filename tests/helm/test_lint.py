"""Helm's own checks, the schemas of Kubernetes and of the operators, and that no template goes unrendered."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from helm.chart import CASES, CHART, Object, Rendered, helm, render, values_of

CRDS = Path(__file__).parent / "crds"
# The oldest that Chart.yaml takes, and the newest whose schemas there are.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
OURS = {path.stem for path in CRDS.glob("*.json")}


@cache
def crd(kind: str) -> Any:
    return jsonschema.Draft7Validator(json.loads((CRDS / f"{kind}.json").read_text(encoding="utf-8")))


def problem(thing: Object, version: str) -> str:
    try:
        if thing["kind"] in OURS:
            crd(thing["kind"]).validate(thing)
        else:
            kubernetes_validate.validate(thing, version, strict=True)
    except jsonschema.ValidationError as error:
        return f"{thing['kind']} {thing['metadata']['name']}: {error.json_path}: {error.message}"
    return ""


def test_lint_finds_nothing(case: str) -> None:
    done = helm("lint", "--strict", ".", values_of(case))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_would_take_every_object(rendered: Rendered, version: str) -> None:
    assert not [text for thing in rendered.objects if (text := problem(thing, version))]


def test_an_unknown_field_is_noticed(everything: Rendered) -> None:
    deployment = everything.named("Deployment", "front-end")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    assert "replica" in problem(wrong, VERSIONS[0])
    monitor = everything.named("ServiceMonitor", "front-end")
    assert "endpoint" in problem({**monitor, "spec": {**monitor["spec"], "endpoint": []}}, VERSIONS[0])


def test_objects_of_operators_have_a_schema_here(everything: Rendered) -> None:
    groups = {thing["kind"]: thing["apiVersion"].partition("/")[0] for thing in everything.objects}
    foreign = {kind for kind, group in groups.items() if "." in group and not group.endswith((".k8s.io", "policy"))}
    foreign |= {kind for kind, group in groups.items() if group == "gateway.networking.k8s.io"}
    assert foreign == OURS


def test_names_are_unique(rendered: Rendered) -> None:
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in rendered.objects]
    assert len(names) == len(set(names))


def test_the_same_values_make_the_same_objects(case: str, rendered: Rendered) -> None:
    assert render(values_of(case)).text == rendered.text


def test_every_template_is_rendered_by_some_values() -> None:
    templates = {path.relative_to(CHART.parent).as_posix() for path in (CHART / "templates").rglob("*.yaml")}
    sources = {
        source
        for case in CASES
        for source in re.findall(r"^# Source: (\S+)", render(values_of(case)).text, re.MULTILINE)
    }
    assert templates == sources
