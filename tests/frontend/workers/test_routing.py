"""Who does what for a query: the same everywhere, and evenly."""

from __future__ import annotations

from collections import Counter

from frontend.workers.test_placement import view
from whence.v1 import query_pb2
from whence_service.frontend.workers.placement import build_placement
from whence_service.frontend.workers.routing import plan_route, rendezvous
from whence_service.rpc.canonical import canonical_bytes

WORKERS = [f"w{n}" for n in range(5)]


def query(completion, **more):
    return query_pb2.Query(text=query_pb2.PromptCompletion(completion=completion), **more)


def route(views, *completions):
    return plan_route(build_placement(views).choose("m"), [query(completion) for completion in completions])


def test_a_querys_label_does_not_change_where_it_goes():
    assert canonical_bytes(query("x", query_id="1")) == canonical_bytes(query("x", query_id="2"))
    assert canonical_bytes(query("x")) != canonical_bytes(query("y"))


def test_losing_a_worker_moves_only_its_own_queries():
    keys = [str(n).encode() for n in range(500)]
    before = {key: rendezvous(key, WORKERS) for key in keys}
    after = {key: rendezvous(key, WORKERS[1:]) for key in keys}
    assert all(after[key] == worker for key, worker in before.items() if worker != "w0")


def test_queries_spread_over_all_workers():
    counts = Counter(rendezvous(str(n).encode(), WORKERS) for n in range(1000))
    assert min(counts[worker] for worker in WORKERS) > 140


def test_every_shard_is_scanned_by_one_worker_that_holds_it():
    planned = route([view("w1", "ab"), view("w2", "b"), view("w3", "a")], "x")
    assert sorted(shard for group in planned.groups for shard in group.shards) == ["a", "b"]
    assert all(planned.owner(shard) in planned.generation.shards[shard] for shard in "ab")


def test_whole_replicas_share_the_scan():
    planned = route([view("w1"), view("w2")], "x")
    assert [len(group.shards) for group in planned.groups] == [1, 1]


def test_different_queries_start_on_different_replicas():
    views = [view(worker, "a") for worker in WORKERS] + [view("z", "b")]
    owners = {route(views, str(n)).owner("a") for n in range(50)}
    assert owners == set(WORKERS)


def test_each_query_of_a_batch_is_prepared_where_it_would_be_alone():
    views = [view(worker) for worker in WORKERS]
    batch = route(views, "x", "y", "z")
    assert batch.preparers == tuple(route(views, name).preparers[0] for name in "xyz")
