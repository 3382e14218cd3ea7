"""What every pod has: the restricted Pod Security Standard, no token, resources, time to drain, honest probes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from helm.chart import Object, Rendered, render, template, values_of, with_values
from whence.explore.settings import ExploreSettings
from whence.v1 import attribution_service_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.rpc.health import LIVENESS

# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SERVICES = {
    "front-end": attribution_service_pb2.DESCRIPTOR.services_by_name["AttributionService"].full_name,
    "worker": worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name,
}


def violations(pod: Object) -> Iterator[str]:
    """Yield the ways in which a pod's spec breaks the restricted standard, and ours of read-only root file systems."""
    context = pod.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if pod.get(key):
            yield key
    for volume in pod.get("volumes", ()):
        yield from (f"volume {kind}" for kind in volume.keys() - {"name"} - VOLUMES)
    for container in (*pod.get("initContainers", ()), *pod["containers"], *pod.get("ephemeralContainers", ())):
        yield from (f"{container['name']}: {problem}" for problem in _violations(context, container))


def _violations(pod: Object, container: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    effective = {**pod, **own}
    if not effective.get("runAsNonRoot") or effective.get("runAsUser") == 0:
        yield "runs as root"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield "may gain privileges"
    if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "keeps capabilities"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "takes a port of the node"
    if own.get("procMount", "Default") != "Default" or own.get("seLinuxOptions") or own.get("windowsOptions"):
        yield "has special options"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root file system"


def test_every_pod_passes_the_restricted_standard(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        assert list(violations(pod["spec"])) == [], name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("hostNetwork",), True),
        (("volumes", 0), {"name": "temporary", "hostPath": {"path": "/"}}),
        (("securityContext", "runAsNonRoot"), False),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}),
        (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True),
        (("containers", 0, "securityContext", "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        (("containers", 0, "securityContext", "readOnlyRootFilesystem"), False),
        (("containers", 0, "ports"), [{"containerPort": 1, "hostPort": 1}]),
    ],
)
def test_a_violation_is_noticed(everything: Rendered, path: tuple[str | int, ...], value: object) -> None:
    pod = copy.deepcopy(everything.named("Deployment", "front-end")["spec"]["template"]["spec"])
    place: Any = pod
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert list(violations(pod))


def test_a_volume_of_the_node_is_refused() -> None:
    done = template(values_of("torch-free"), *with_values(artefacts__volume={"hostPath": {"path": "/data"}}))
    assert done.returncode != 0
    assert "artefacts.volume" in done.stderr


def test_no_pod_has_a_token_of_the_cluster(rendered: Rendered) -> None:
    accounts = {account["metadata"]["name"]: account for account in rendered.of_kind("ServiceAccount")}
    assert not any(account["automountServiceAccountToken"] for account in accounts.values())
    for name, pod in rendered.pods():
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["serviceAccountName"] in accounts, name


def test_every_container_asks_for_resources_and_has_a_limit_of_memory(rendered: Rendered) -> None:
    for name, container in rendered.containers():
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name


def test_no_image_floats(rendered: Rendered) -> None:
    for name, container in rendered.containers():
        tag = container["image"].rpartition(":")[2]
        assert tag != "latest", name
        assert "/" not in tag, name


def test_secrets_are_only_referred_to(rendered: Rendered) -> None:
    assert not rendered.of_kind("Secret")


@pytest.mark.parametrize("component", ["front-end", "worker"])
def test_probes_ask_for_names_that_health_knows(gpu: Rendered, component: str) -> None:
    known = {SERVICES[component], LIVENESS}
    pods = [pod for _, pod in gpu.pods() if pod["metadata"]["labels"]["app.kubernetes.io/component"] == component]
    containers = [container for pod in pods for container in pod["spec"]["containers"] if "startupProbe" in container]
    assert containers
    for container in containers:
        assert {
            container[probe]["grpc"]["service"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        } <= known
        assert container["livenessProbe"]["grpc"]["service"] == LIVENESS
        assert container["readinessProbe"]["grpc"]["service"] == SERVICES[component]


def test_a_worker_has_the_time_to_load_that_its_values_give(gpu: Rendered) -> None:
    probe = gpu.named("StatefulSet", "llama-0")["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 3600


def test_pods_have_the_time_that_their_drain_takes(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        for container in pod["spec"]["containers"]:
            if "lifecycle" not in container:
                continue
            environment = rendered.environment(container)
            prefix = "WHENCE_WORKER_" if container["name"] == "worker" else "WHENCE_"
            drain, grace = (
                float(environment.get(f"{prefix}{key}", default)) for key, default in (("DRAIN_S", 5), ("GRACE_S", 30))
            )
            if container["name"] == "explore":  # which has no such settings
                drain, grace = 0, ExploreSettings.grace_s
            sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert pod["spec"]["terminationGracePeriodSeconds"] >= sleep + drain + grace + 15, name


def test_no_drain_at_all_is_counted_as_none() -> None:
    settings = with_values(frontEnd__settings__drain_s=0, frontEnd__settings__grace_s=0.5)
    pod = render(values_of("embedded"), *settings).named("Deployment", "front-end")["spec"]["template"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == 5 + 1 + 15


def test_too_short_a_time_to_drain_is_refused() -> None:
    done = template(values_of("embedded"), *with_values(frontEnd__terminationGracePeriodSeconds=40))
    assert "frontEnd.terminationGracePeriodSeconds is 40" in done.stderr
    assert "take 55" in done.stderr


def test_a_changed_setting_restarts_the_pods_that_read_it() -> None:
    def checksums(*arguments: str) -> dict[str, str]:
        pods = render(values_of("gpu-shards"), *arguments).pods()
        return {name: pod["metadata"].get("annotations", {}).get("checksum/config", "") for name, pod in pods}

    before = checksums()
    after = checksums(*with_values(worker__settings={"batch_tokens": 512}, models=_models(batch_tokens=512)))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.startswith("StatefulSet")}


def _models(**settings: object) -> list[Object]:
    artefacts = {name: f"llama/{name}" for name in ("model", "factors", "corpus", "index")}
    shards = {"total": 8, "perWorker": 2}
    return [{"name": "llama", "artefacts": artefacts, "shards": shards, "settings": settings}]


def test_pods_are_spread_over_nodes_and_zones(rendered: Rendered) -> None:
    for name, pod in rendered.pods():
        if name.startswith(("Deployment", "StatefulSet")) and "redis" not in name:
            for constraint in pod["spec"]["topologySpreadConstraints"]:
                labels = constraint["labelSelector"]["matchLabels"]
                assert labels.items() <= pod["metadata"]["labels"].items(), name


def test_every_selector_finds_the_pods_that_it_is_for(rendered: Rendered) -> None:
    pods = [pod["metadata"]["labels"] for _, pod in rendered.pods()]
    for thing in rendered.of_kind("Service", "PodDisruptionBudget", "Deployment", "StatefulSet", "PodMonitor"):
        selector = thing["spec"]["selector"]
        labels = selector.get("matchLabels", selector) if thing["kind"] != "Service" else selector
        assert any(labels.items() <= pod.items() for pod in pods), thing["metadata"]["name"]
