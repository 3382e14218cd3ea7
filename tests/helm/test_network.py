"""Who reaches whom: the policies are read as the cluster reads them, and every pair of pods is tried."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from helm.chart import NAMESPACE, Object, Rendered, render, values_of, with_values

PORTS = {"front-end": 50051, "worker": 50061, "redis": 6379}
METRICS = {"front-end": 9090, "worker": 9091}

Pod = tuple[str, dict[str, str]]  # namespace and labels


def matches(selector: Object, labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(peer: Object, pod: Pod) -> bool:
    namespace, labels = pod
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        return matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}) and matches(
            peer.get("podSelector", {}), labels
        )
    return namespace == NAMESPACE and matches(peer["podSelector"], labels)


def lets_through(rendered: Rendered, pod: Pod, other: Pod, port: int, *, way: str) -> bool:
    """Return true if the policies of ``pod`` let it take calls from (or make them to) ``other`` at a port."""
    mine = [
        policy["spec"]
        for policy in rendered.of_kind("NetworkPolicy")
        if pod[0] == NAMESPACE
        and matches(policy["spec"]["podSelector"], pod[1])
        and way in policy["spec"]["policyTypes"]
    ]
    key, side = ("ingress", "from") if way == "Ingress" else ("egress", "to")
    rules = [rule for policy in mine for rule in policy.get(key, ())]
    return not mine or any(
        any(entry["port"] == port for entry in rule.get("ports", [{"port": port}]))
        and (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
        for rule in rules
    )


def reaches(rendered: Rendered, caller: Pod, callee: Pod, port: int) -> bool:
    return lets_through(rendered, caller, callee, port, way="Egress") and lets_through(
        rendered, callee, caller, port, way="Ingress"
    )


def pods_of(rendered: Rendered) -> dict[str, Pod]:
    labels = [pod["metadata"]["labels"] for _, pod in rendered.pods()]
    return {found["app.kubernetes.io/component"]: (NAMESPACE, found) for found in labels}


def reached(rendered: Rendered) -> set[tuple[str, str, int]]:
    """Return who reaches whom at which port, among the release's pods and strangers."""
    pods: dict[str, Pod] = {
        **pods_of(rendered),
        "neighbour": (NAMESPACE, {"app": "other"}),
        "application": ("applications", {"app": "other"}),
        "prometheus": ("monitoring", {"app.kubernetes.io/name": "prometheus"}),
        "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    }
    ours = pods_of(rendered).keys()
    ports = {*PORTS.values(), *METRICS.values(), 53, 22}
    return {
        (caller, callee, port)
        for caller, callee, port in product(pods, pods, ports)
        if caller != callee and {caller, callee} & ours and reaches(rendered, pods[caller], pods[callee], port)
    }


BETWEEN = {
    ("front-end", "worker", 50061),
    ("worker", "redis", 6379),
    ("test", "front-end", 50051),
    ("prometheus", "front-end", 9090),
    ("prometheus", "worker", 9091),
    ("front-end", "dns", 53),
    ("worker", "dns", 53),
    ("test", "dns", 53),
}


def test_nothing_is_reached_but_what_is_named(gpu: Rendered) -> None:
    assert reached(gpu) == BETWEEN | {("neighbour", "front-end", 50051)}


def test_jobs_reach_the_store_alone_and_clients_are_those_that_are_named(everything: Rendered) -> None:
    more = {("application", "front-end", 50051), ("jobs", "dns", 53), ("front-end", "redis", 6379)}
    assert reached(everything) == BETWEEN | more


def test_the_page_reaches_the_front_end_alone_and_is_reached_by_those_who_are_named() -> None:
    rendered = render(values_of("explore"))
    pods = pods_of(rendered)
    ingress: Pod = ("ingress", {"app": "controller"})
    assert reaches(rendered, pods["explore"], pods["front-end"], 50051)
    assert reaches(rendered, ingress, pods["explore"], 8090)
    others = {(name, port) for name in ("worker", "front-end") for port in (50061, 9090, 9091)}
    assert not [other for other in others if reaches(rendered, pods["explore"], pods[other[0]], other[1])]
    for stranger in (("attribution", {"app": "other"}), pods["worker"], ("ingress2", {})):
        assert not reaches(rendered, stranger, pods["explore"], 8090)


def test_an_embedded_worker_reaches_redis_from_the_front_end() -> None:
    rendered = render(values_of("embedded"), *with_values(redis={"mode": "bundled", "bundled": {"password": False}}))
    assert reached(rendered) == {
        ("front-end", "redis", 6379),
        ("neighbour", "front-end", 50051),
        ("prometheus", "front-end", 9090),
        ("test", "front-end", 50051),
        ("front-end", "dns", 53),
        ("test", "dns", 53),
    }


@pytest.mark.parametrize("case", ["everything"])
def test_every_pod_is_denied_what_no_policy_lets_through(rendered: Rendered) -> None:
    deny = rendered.named("NetworkPolicy", "deny")["spec"]
    assert not deny.keys() & {"ingress", "egress"}
    for name, pod in rendered.pods():
        assert matches(deny["podSelector"], pod["metadata"]["labels"]), name


def test_the_store_is_reached_by_those_who_read_and_write_artefacts(everything: Rendered) -> None:
    store = {"to": [{"ipBlock": {"cidr": "192.0.2.3/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in everything.of_kind("NetworkPolicy")}
    readers = {name for name, spec in policies.items() if store in spec.get("egress", ())}
    assert readers == {"w-whence-worker", "w-whence-jobs"}


def test_policies_can_be_left_to_the_cluster() -> None:
    rendered: Any = render(values_of("embedded"), *with_values(networkPolicy__enabled=False))
    assert not rendered.of_kind("NetworkPolicy")
