"""The chart `helm/whence` as the real `helm` renders it, and ways to look at what it renders."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "whence"
CASES = tuple(sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml")))
# As pip installs it, beside the interpreter.
HELM = Path(sys.executable).with_name("helm")
RELEASE = "w"
NAMESPACE = "attribution"

Object = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False, cwd=CHART)


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    return helm("template", RELEASE, ".", "--namespace", NAMESPACE, *arguments)


def values_of(case: str) -> str:
    return f"--values=ci/{case}-values.yaml"


def with_values(**values: object) -> list[str]:
    """Return the arguments that set values by path; a double underscore stands for a point."""
    return [f"--set-json={path.replace('__', '.')}={json.dumps(value)}" for path, value in values.items()]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The objects that the chart makes of some values."""

    text: str

    @cached_property
    def objects(self) -> list[Object]:
        return [document for document in yaml.safe_load_all(self.text) if document]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        """Return the object of this kind whose name ends so, after the release's."""
        (match,) = [thing for thing in self.of_kind(kind) if thing["metadata"]["name"] == f"{RELEASE}-whence-{name}"]
        return match

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Yield the template of each pod, with the name of what makes it."""
        for thing in self.of_kind("Deployment", "StatefulSet", "Job"):
            yield f"{thing['kind']} {thing['metadata']['name']}", thing["spec"]["template"]
        for pod in self.of_kind("Pod"):
            yield f"Pod {pod['metadata']['name']}", pod

    def containers(self) -> Iterator[tuple[str, Object]]:
        """Yield each container, init containers too, with its pod's name and its own."""
        for name, pod in self.pods():
            for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
                yield f"{name}: {container['name']}", container

    def environment(self, container: Object) -> dict[str, Any]:
        """Return a container's variables: those of its ConfigMaps, then its own."""
        maps = {thing["metadata"]["name"]: thing["data"] for thing in self.of_kind("ConfigMap") if "data" in thing}
        variables: dict[str, Any] = {}
        for source in container.get("envFrom", ()):
            variables |= maps.get(source.get("configMapRef", {}).get("name"), {})
        return variables | {
            entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", ())
        }


def render(*arguments: str) -> Rendered:
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    return Rendered(text=done.stdout)
