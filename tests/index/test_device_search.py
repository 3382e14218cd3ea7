"""Search with torch: the bits of the kernel for CPUs, on any device. Here torch computes on the CPU as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from index.test_search import SEGMENTS, queries, searcher, shard
from whence.errors import InvalidRequestError
from whence_backends.ekfac.budgets import Budget
from whence_backends.index.device_search import DeviceSearcher
from whence_backends.index.storage import ShardRows
from whence_backends.topk import Order

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")],
    ),
]


def on(device: str, shards: list[ShardRows]) -> DeviceSearcher:
    return DeviceSearcher({rows.info.name: rows for rows in shards}, SEGMENTS, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_estimates_are_those_of_the_kernel_to_the_bit(device: str, monkeypatch: pytest.MonkeyPatch):
    """Broken by: bits in another order; scales multiplied in float32; a step of one segment for the other."""
    monkeypatch.setattr("whence_backends.index.device_search.UNPACKED_CODES", Budget(cpu=9000, cuda=9000))
    rows = shard("s", 0, 300)
    asked = queries(5)
    asked[1, : SEGMENTS[0].stop] = 0  # nothing in the first segment
    asked[2] = 0
    want = searcher([rows]).estimate(asked, "s")
    assert on(device, [rows]).estimate(asked, "s").tobytes() == want.tobytes()
    assert np.abs(want[0]).max() > 0


@pytest.mark.parametrize("device", DEVICES)
def test_the_best_of_all_shards_are_the_same(device: str):
    shards = [shard("a", 0, 200), shard("b", 200, 150)]
    keep = {"a": np.arange(200) % 3 == 0, "b": np.ones(150, bool)}
    orders = [Order.HIGHEST, Order.LOWEST]
    ours = on(device, shards).search(queries(3), ["a", "b"], 20, orders, keep=keep)
    theirs = searcher(shards).search(queries(3), ["a", "b"], 20, orders, keep=keep)
    assert ours.searched == theirs.searched == 67 + 150
    for order in orders:
        for query in range(3):
            for mine, other in zip(ours.best[order].arrays(query), theirs.best[order].arrays(query), strict=True):
                assert mine.tobytes() == other.tobytes()


def test_standard_errors_are_the_same():
    rows = shard("s", 0, 50)
    positions = np.arange(10, 40)
    assert np.array_equal(
        on("cpu", [rows]).errors(queries(1)[0], positions), searcher([rows]).errors(queries(1)[0], positions)
    )


def test_what_a_device_cannot_do_is_refused():
    with pytest.raises(InvalidRequestError, match="no device 'abacus'") as caught:
        on("abacus", [shard("s", 0, 5)])
    assert (caught.value.reason, caught.value.field) == ("INVALID_SEARCH_DEVICE", "search_device")
    with pytest.raises(InvalidRequestError, match="8 bits a value"):
        on("cpu", [shard("s", 0, 5, bits=8)])
