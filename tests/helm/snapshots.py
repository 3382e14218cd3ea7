"""The essential fields of what the chart renders, one line each: `python tests/helm/snapshots.py` writes them anew.

A change of the chart shows in the difference what it changes in a cluster.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helm.chart import CASES, Object, Rendered, render, values_of

FOLDER = Path(__file__).parent / "snapshots"
# Of objects without pods: these parts of their spec, as they are.
ESSENTIAL = {
    "Certificate": ("secretName", "dnsNames", "usages", "issuerRef"),
    "GRPCRoute": ("parentRefs", "hostnames"),
    "HorizontalPodAutoscaler": ("scaleTargetRef", "minReplicas", "maxReplicas"),
    "Ingress": ("ingressClassName", "tls"),
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "resources"),
    "PodDisruptionBudget": ("maxUnavailable",),
    "PodMonitor": ("podMetricsEndpoints",),
    "ScaledObject": ("scaleTargetRef", "minReplicaCount", "maxReplicaCount"),
    "Service": ("type", "clusterIP", "ports"),
    "ServiceMonitor": ("endpoints",),
}
OF_CONTAINERS = ("image", "command", "args", "ports", "resources", "volumeMounts")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
OF_PODS = ("serviceAccountName", "terminationGracePeriodSeconds", "runtimeClassName", "volumes")


def snapshot(rendered: Rendered) -> str:
    """Return the essential fields as text, objects in the order of their kinds and names."""
    lines = sorted(line for thing in rendered.objects for line in _lines(rendered, thing))
    return "\n".join(lines) + "\n"


def _lines(rendered: Rendered, thing: Object) -> Iterator[str]:
    name = f"{thing['kind']} {thing['metadata']['name']}"
    yield name
    spec = thing.get("spec", {})
    for field in ("replicas", "completions", "minReadySeconds", *ESSENTIAL.get(thing["kind"], ())):
        if field in spec:
            yield f"{name} {field}: {_json(spec[field])}"
    pod = spec if thing["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
    for field in OF_PODS:
        if field in pod:
            yield f"{name} {field}: {_json(pod[field])}"
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        yield from _of_container(rendered, f"{name} {container['name']}", container)


def _of_container(rendered: Rendered, name: str, container: Object) -> Iterator[str]:
    for field in (*OF_CONTAINERS, *PROBES):
        if field in container:
            yield f"{name} {field}: {_json(container[field])}"
    for variable, value in rendered.environment(container).items():
        yield f"{name} ${variable}: {_json(value)}"


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        (FOLDER / f"{case}.txt").write_text(snapshot(render(values_of(case))), encoding="utf-8")
