"""Real processes under open-loop load: what two tenants get, at a half to ten times of what can be done.

    python tests/load/open_loop.py [--seconds 20] [--loads 0.5 1 3 10]

For every call a worker scans its corpus with the fake engine, to each of whose batches some milliseconds are added in
which the processor is free, as it is while a GPU computes: otherwise the engine would compete with what makes the
calls. `busy` makes nine calls for each one of `other`. Capacity is measured first, with sixteen calls always under way.
Then calls arrive at random (Poisson) for a while at each load, at a front end with its default settings and at one
whose queue is bounded by time: `max_running` 3, and `max_wait_s` as long as four calls take. Latencies count from the
moment of arrival. The last line has p99 at the highest load divided by that at the lowest, of answered calls, for
either front end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

sys.path[:0] = [str(Path(__file__).parents[1] / "benchmarks"), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

from e2e.harness import QUERY, Artefacts, Launcher, Process, launcher, make_artefacts
from load.traffic import Target, Traffic, generator
from whence.v1 import attribution_pb2, attribution_service_pb2
from whence_service.access.keys import make_key
from whence_service.access.keys_file import change_keys
from whence_service.rpc.identity import Scope

SHARES = {"busy": 0.9, "other": 0.1}
RUNNING, WAITED_CALLS = 3, 4
HEADER = (
    "| settings | load | offered/s | answered/s | refused | p50 | p99 | p99 of `other` | `other` answered "
    "| health p99 | front end, worker |\n| --- " + "| ---: " * 10 + "|"
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """Processes under load, and how to call them."""

    front: Process
    worker: Process
    target: Target

    def memory(self) -> tuple[float, float]:
        """Return the resident memory of front end and worker in MiB."""
        front, worker = (psutil.Process(one.process.pid).memory_info().rss / 2**20 for one in (self.front, self.worker))
        return front, worker


def keys_of(file: Path) -> dict[str, str]:
    """Make a key for each tenant, and return their texts."""
    made = {tenant: make_key(subject=tenant, tenant=tenant, scopes=tuple(Scope)) for tenant in SHARES}
    change_keys(file, lambda keys: {**keys, **{key.stored.id: key.stored for key in made.values()}})
    return {tenant: key.text for tenant, key in made.items()}


def scan() -> bytes:
    """The request: the ten most influential sequences of the whole corpus, without details."""
    options = attribution_pb2.AttributionOptions(top_k=10, search=attribution_pb2.SEARCH_FULL_SCAN)
    return attribution_service_pb2.AttributeRequest(query=QUERY.to_proto(), options=options).SerializeToString()


def start(launch: Launcher, worker: Process, **settings: str) -> Service:
    """Start a front end before a worker."""
    file = launch.folder / f"keys{len(launch.processes)}.json"
    keys = keys_of(file)
    front = launch.front(worker, KEYS_FILE=str(file), REFRESH_S="5", **settings)
    front.wait_for("serving")
    target = Target(address=front.address, method="Attribute", request=scan(), keys=keys)
    return Service(front=front, worker=worker, target=target)


def rates(per_s: float) -> dict[str, float]:
    """Return the calls a second of each tenant."""
    return {tenant: per_s * share for tenant, share in SHARES.items()}


def row(settings: str, load: float, traffic: Traffic, memory: tuple[float, float]) -> str:
    """Return a row of the table."""
    p50, p99 = percentiles(traffic)
    _, other_p99 = percentiles(traffic, "other")
    others = [outcome for outcome in traffic.outcomes if outcome.tenant == "other"]
    health_p99 = float(np.percentile(traffic.health_s, 99)) * 1000
    asked_per_s = len(traffic.outcomes) / traffic.arriving_s
    answered_per_s = len(traffic.answered()) / traffic.answering_s
    return (
        f"| {settings} | {load:g}x | {asked_per_s:.0f} | {answered_per_s:.0f} "
        f"| {sum(traffic.failures().values())} | {p50:.0f} ms | {p99:.0f} ms | {other_p99:.0f} ms "
        f"| {len(traffic.answered('other')) / max(1, len(others)):.0%} | {health_p99:.0f} ms "
        f"| {memory[0]:.0f}, {memory[1]:.0f} MiB |"
    )


def percentiles(traffic: Traffic, tenant: str = "") -> tuple[float, float]:
    """Return p50 and p99 of answered calls in milliseconds."""
    latencies = [outcome.latency_s for outcome in traffic.answered(tenant)] or [float("nan")]
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return float(p50), float(p99)


async def measure(service: Service, settings: str, capacity_per_s: float, options: argparse.Namespace) -> float:
    """Print a row for each load; return p99 at the last divided by p99 at the first."""
    tails = []
    async with generator(service.target) as traffic_of:
        for load in options.loads:
            await traffic_of.offer(rates(load * capacity_per_s), options.seconds / 5, seed=1)
            traffic = await traffic_of.offer(rates(load * capacity_per_s), options.seconds, seed=2)
            print(row(settings, load, traffic, service.memory()), flush=True)
            unknown = set(traffic.failures()) - {"QUEUE_FULL"}
            if unknown:
                print(f"# failures: {traffic.failures()}")
            tails.append(percentiles(traffic)[1])
    return tails[-1] / tails[0]


def bounded(capacity_per_s: float) -> Mapping[str, str]:
    """Return the settings that bound the queue by time."""
    return {"MAX_RUNNING": str(RUNNING), "MAX_WAIT_S": f"{WAITED_CALLS / capacity_per_s:.3f}"}


async def compare(options: argparse.Namespace, launch: Launcher) -> None:
    artefacts = corpus_of(launch.folder / "artefacts")
    worker = slow_worker(launch, artefacts, options.delay_ms)
    worker.wait_for("serving")
    default = start(launch, worker)
    async with generator(default.target) as traffic:
        await traffic.capacity(1.0)
        capacity_per_s = await traffic.capacity(options.seconds / 4)
    sequences = artefacts.open_corpus().sequences
    print(f"# a scan of {sequences} sequences a call, {options.delay_ms:g} ms a batch; {capacity_per_s:.1f} calls/s")
    print(HEADER)
    ratio = await measure(default, "default", capacity_per_s, options)
    default.front.kill()
    given = bounded(capacity_per_s)
    named = ", ".join(f"{name.lower()} {value}" for name, value in given.items())
    limited = await measure(start(launch, worker, **given), named, capacity_per_s, options)
    print_figures(p99_ratio_default=ratio, p99_ratio_bounded=limited)


def corpus_of(folder: Path) -> Artefacts:
    """Return new artefacts in a folder that does not exist yet."""
    folder.mkdir()
    return make_artefacts(folder)


def slow_worker(launch: Launcher, artefacts: Artefacts, delay_ms: float) -> Process:
    """Start a worker of the fake engine whose batches take so much longer."""
    options = json.dumps({"delay_s": str(delay_ms / 1000)})
    return launch.worker(artefacts, engine="toy", BATCH_TOKENS="256", ENGINE_OPTIONS=options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load; a fifth more goes before it")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 1.0, 3.0, 10.0], help="multiples of capacity")
    parser.add_argument("--delay-ms", type=float, default=4.0, help="added to each batch of the engine")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    with tempfile.TemporaryDirectory() as folder, launcher(Path(folder)) as launch:
        asyncio.run(compare(options, launch))


if __name__ == "__main__":
    main()
