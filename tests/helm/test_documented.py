"""What is written about the chart holds: examples render, values are described, the notes' commands exist."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chart_documents
import pytest
import yaml

from helm.chart import CHART, ROOT, render, values_of, with_values
from whence.cli import COMMANDS
from whence.cli.lazy import load

EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8"), re.DOTALL)


def notes(*arguments: str) -> str:
    """Return the notes. Helm itself prints them only in a cluster, so an object of the values' own carries them."""
    text = '{{ include "whence.notes" . | b64enc }}'
    carrier = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "w-whence-notes"}, "data": {"text": text}}
    rendered = render(*arguments, *with_values(extraObjects=[carrier]))
    return base64.b64decode(rendered.named("ConfigMap", "notes")["data"]["text"]).decode()


@pytest.mark.parametrize("example", range(len(EXAMPLES)))
def test_examples_of_the_document_render(example: int, tmp_path: Path) -> None:
    """The first is whole, the others change it."""
    files = [tmp_path / "first.yaml", tmp_path / "example.yaml"]
    for file, text in zip(files, (EXAMPLES[0], EXAMPLES[example]), strict=True):
        file.write_text(text, encoding="utf-8")
    rendered = render(*(f"--values={file}" for file in files))
    assert rendered.of_kind("Deployment", "StatefulSet")


def test_every_value_is_described() -> None:
    assert not [value.path for value in chart_documents.values() if not value.comment]


def leaves(values: Any, path: str = "") -> Iterator[str]:
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    else:
        yield path


def test_the_table_has_every_default() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    listed = {value.path for value in chart_documents.values()}
    assert not [leaf for leaf in leaves(defaults) if not any(f"{leaf}.".startswith(f"{path}.") for path in listed)]


def properties(schema: Any, definitions: Any, path: str = "") -> Iterator[str]:
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if not schema.get("properties") or path.endswith(("settings", "Settings")):
        yield path
    else:
        for name, value in schema["properties"].items():
            yield from properties(value, definitions, f"{path}.{name}" if path else name)


def test_the_schema_knows_no_value_without_a_default() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    known = {path for path in properties(schema, schema["definitions"]) if path != "global"}
    optional = {path for path in known if path.endswith((".requests", ".limits"))}
    present = set(leaves(defaults))
    assert not [path for path in known - optional if not any(f"{leaf}.".startswith(f"{path}.") for leaf in present)]


def test_the_notes_name_what_to_wait_for() -> None:
    text = notes(values_of("gpu-shards"))
    for name in ("deployment/w-whence-front-end", *(f"statefulset/w-whence-llama-{group}" for group in range(4))):
        assert f"rollout status {name}" in text
    assert "helm -n attribution test w" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "Anyone who reaches the port"),
        ({"models": [{"name": "a", "artefacts": {"model": "m", "factors": "f", "corpus": "c"}}]}, "Set replicas to 2"),
        ({"models": [{"name": "a", "artefacts": {"model": "m", "factors": "f", "corpus": "c"}}]}, "a has no index"),
        ({"networkPolicy__enabled": False}, "No network policies"),
    ],
)
def test_the_notes_warn(values: dict[str, object], words: str) -> None:
    assert words in notes(values_of("gpu-shards"), *with_values(**values))


def test_the_notes_commands_exist() -> None:
    commands = re.findall(r"^  whence (.*)$", notes(values_of("embedded")), re.MULTILINE)
    assert len(commands) == 2
    for line in commands:
        name, *rest = shlex.split(line)
        known = {text for option in load(next(c for c in COMMANDS if c.name == name)).params for text in option.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line
