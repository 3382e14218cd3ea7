"""Search against the products computed by hand, whatever the shards, the threads and the company."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whence_backends.index import search
from whence_backends.index.batch_kernel import LANES, MANY, estimate_many
from whence_backends.index.codes import decode, encode
from whence_backends.index.kernel import estimate_one_bit
from whence_backends.index.plan import Segment
from whence_backends.index.search import QueryLevels, Searcher, standard_errors
from whence_backends.index.storage import IndexedShard, ShardRows
from whence_backends.topk import Order

SEGMENTS = (Segment(layers=("a",), start=0, width=64), Segment(layers=("b",), start=64, width=640))
WIDTH = 704


def shard(name: str, first: int, count: int, bits: int = 1, seed: int = 0) -> ShardRows:
    values = np.random.default_rng([seed, first]).normal(size=(count, WIDTH)).astype(np.float32)
    codes, scales = encode(values, SEGMENTS, bits)
    return ShardRows(
        info=IndexedShard(name=name, first_position=first, sequences=count),
        codes=codes,
        scales=scales,
        self_influence=np.zeros(count, np.float32),
    )


def queries(count: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, WIDTH)).astype(np.float32)


def searcher(shards: list[ShardRows], threads: int = 2) -> Searcher:
    return Searcher({rows.info.name: rows for rows in shards}, SEGMENTS, threads=threads)


def quantized(sketches: np.ndarray) -> np.ndarray:
    """The queries that the planes stand for."""
    made = QueryLevels.of(sketches, SEGMENTS)
    bits = np.unpackbits(made.planes.view(np.uint8), axis=2, bitorder="little").astype(np.float64) * 2 - 1
    values = (bits * np.array([1, 2, 4, 8])[:, None]).sum(axis=1)
    for number, segment in enumerate(SEGMENTS):
        values[:, segment.start : segment.stop] *= made.steps[:, number : number + 1]
    return values


def test_an_estimate_is_the_product_of_query_and_code() -> None:
    """Broken by: counting equal bits for differing ones; one segment's scale for the other; a plane too few."""
    rows = shard("s", 0, 300)
    want = quantized(queries(3)) @ decode(rows.codes, rows.scales, SEGMENTS).astype(np.float64).T
    np.testing.assert_allclose(searcher([rows]).estimate(queries(3), "s"), want, rtol=1e-5, atol=1e-3)


def test_four_bits_a_value_hardly_change_a_query() -> None:
    """Broken by: levels that are off by one; a step for the largest value alone, whatever the others are."""
    heavy = queries(2)
    heavy[1] *= np.abs(np.random.default_rng(0).standard_t(3, WIDTH))
    for want, got, error in zip(heavy, quantized(heavy), (0.12, 0.2), strict=True):
        assert np.linalg.norm(got - want) < error * np.linalg.norm(want)


@pytest.mark.parametrize("size", [2.0**-60, 2.0**90])
def test_a_query_may_be_of_any_size(size: float) -> None:
    """Broken by: squares in float32, which overflow from 2e19 on."""
    rows, usual = shard("s", 0, 300), queries(2)
    sized = usual * np.float32(size)
    want = searcher([rows]).estimate(usual, "s") * np.float32(size)
    np.testing.assert_array_equal(searcher([rows]).estimate(sized, "s"), want)
    errors = [standard_errors(sketch, rows, SEGMENTS) for sketch in (usual[0], sized[0])]
    np.testing.assert_allclose(errors[1], errors[0] * np.float32(size), rtol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_more_bits_are_searched_in_floating_point(bits: int) -> None:
    rows = shard("s", 0, 300, bits)
    want = queries(3) @ decode(rows.codes, rows.scales, SEGMENTS).T
    np.testing.assert_allclose(searcher([rows]).estimate(queries(3), "s"), want, rtol=1e-4, atol=1e-3)


def test_the_best_are_those_of_a_sort() -> None:
    """Broken by: rows counted from the shard's start; the worse end."""
    shards = [shard("a", 0, 500), shard("b", 500, 700)]
    found = searcher(shards).search(queries(5), ["a", "b"], 20, [Order.HIGHEST, Order.LOWEST])
    estimates = np.concatenate([searcher(shards).estimate(queries(5), name) for name in ("a", "b")], axis=1)
    for query, row in enumerate(estimates):
        ranking = np.lexsort((np.arange(1200), -row))
        assert found.best[Order.HIGHEST].arrays(query)[0].tolist() == ranking[:20].tolist()
        assert found.best[Order.LOWEST].arrays(query)[0].tolist() == np.lexsort((np.arange(1200), row))[:20].tolist()
        assert found.best[Order.HIGHEST].arrays(query)[1].tolist() == row[ranking[:20]].tolist()
    assert found.searched == 1200


def test_ties_go_to_the_lower_position_in_whatever_order_shards_are_searched() -> None:
    twins = shard("a", 0, 50)
    again = ShardRows(
        info=IndexedShard(name="b", first_position=50, sequences=50),
        codes=twins.codes, scales=twins.scales, self_influence=twins.self_influence,
    )  # fmt: skip
    for names in (["a", "b"], ["b", "a"]):
        found = searcher([twins, again]).search(queries(1), names, 9, [Order.HIGHEST])
        positions, estimates = found.best[Order.HIGHEST].arrays(0)
        assert all(estimates[i] > estimates[i + 1] or positions[i] < positions[i + 1] for i in range(8))
        assert positions[1] == positions[0] + 50


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many queries are looked up of few rows, too."""
    monkeypatch.setattr(search, "MANY_ROWS", 0)


@pytest.mark.usefixtures("looked_up")
@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("count", [6, MANY, MANY + 5])
def test_an_estimate_is_the_same_to_the_bit_in_any_company(threads: int, count: int) -> None:
    """Broken by: sums in floating point that depend on where a thread's rows begin; a kernel that differs for many."""
    rows = shard("s", 0, 333)
    asked = queries(count)
    asked[2, : SEGMENTS[0].stop] = 0
    alone = np.concatenate([searcher([rows], 1).estimate(query[None], "s") for query in asked])
    assert np.array_equal(searcher([rows], threads).estimate(asked, "s"), alone)
    half = ShardRows(
        info=IndexedShard(name="half", first_position=100, sequences=50),
        codes=rows.codes[100:150], scales=rows.scales[100:150], self_influence=rows.self_influence[100:150],
    )  # fmt: skip
    assert np.array_equal(searcher([half], threads).estimate(asked, "half"), alone[:, 100:150])


@pytest.mark.usefixtures("looked_up")
def test_sums_that_are_looked_up_are_the_largest_that_there_are() -> None:
    """Broken by: sums of a long segment that sixteen bits cannot hold; even rows' sums with the odd ones' in them."""
    segments = (Segment(layers=("a",), start=0, width=64 * 150),)
    codes = np.full((70, 8 * 150), 255, np.uint8)
    codes[1::2] = 0
    info = IndexedShard(name="s", first_position=0, sequences=70)
    scales = np.ones((70, 1), np.float32)
    rows = ShardRows(info=info, codes=codes, scales=scales, self_influence=scales[:, 0])
    asked = np.ones((MANY, 64 * 150), np.float32)
    found = Searcher({"s": rows}, segments, threads=1).estimate(asked, "s")
    np.testing.assert_allclose(found[:, ::2], 9600, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1::2], -9600, rtol=1e-5)


@pytest.mark.usefixtures("looked_up")
def test_many_queries_without_a_shuffle_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, asked = shard("s", 0, 100), queries(MANY)
    expected = searcher([rows]).estimate(asked, "s")
    monkeypatch.setattr(search, "LANES", 0)
    assert np.array_equal(searcher([rows]).estimate(asked, "s"), expected)


# Compares both kernels, as this processor has them or as one would that lacks what is named.
BOTH_KERNELS = """
import sys
import llvmlite.binding
import numpy as np
features = llvmlite.binding.get_host_cpu_features()
features.update({name: False for name in features if name.startswith(tuple(sys.argv[1:]))})
llvmlite.binding.get_host_cpu_features = lambda: features
from whence_backends.index import batch_kernel, kernel
print(batch_kernel.LANES)
random = np.random.default_rng(0)
for words in ([1, 63, 65], [64, 128], [129], [5]) if batch_kernel.LANES else []:
    starts = np.cumsum([0, *words])
    for queries, rows in ((1, 31), (2, 64), (9, 333), (3, 1030)):
        levels = random.integers(0, 16, (queries, 64 * starts[-1]), dtype=np.uint8)
        codes = random.integers(0, 2**64, (rows, starts[-1]), dtype=np.uint64)
        scales = random.random((rows, len(words)), dtype=np.float32)
        steps = random.random((queries, len(words)), dtype=np.float32)
        bits = [np.packbits(levels >> plane & 1, axis=1, bitorder="little") for plane in range(4)]
        planes = np.ascontiguousarray(np.stack(bits, axis=1)).view(np.uint64)
        tables = np.empty((queries, starts[-1], 16, 16), np.uint8)
        batch_kernel.make_tables(levels, tables)
        counted, looked_up = np.zeros((2, queries, rows), np.float32)
        kernel.estimate_one_bit(codes, scales, planes, steps, starts, counted)
        batch_kernel.estimate_many(codes, scales, tables, steps, starts, looked_up)
        assert np.array_equal(counted, looked_up), (words, queries, rows)
"""


@pytest.mark.skipif(not LANES, reason="this processor has no shuffle that is known")
@pytest.mark.parametrize(
    ("settings", "lacking", "lanes"),
    [({}, [], LANES), ({}, ["avx512"], 32), ({"NUMBA_ENABLE_AVX": "0"}, [], 0)],
    ids=["this one", "without AVX-512", "without AVX"],
)
def test_every_processor_has_the_same_estimates(settings: dict[str, str], lacking: list[str], lanes: int) -> None:
    """Broken by: a shuffle that numba's target does not have, which ends the process; an address that is off."""
    command, variables = [sys.executable, "-c", BOTH_KERNELS, *lacking], os.environ | settings
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(lanes)


@pytest.mark.usefixtures("looked_up")
@pytest.mark.parametrize("threads", [1, 2])
def test_no_search_waits_for_a_compiler(threads: int) -> None:
    """Broken by: a kernel compiled for results that lie otherwise than those of a search."""
    searching = searcher([shard("s", 0, 200)], threads)
    before = [len(kernel.signatures) for kernel in (estimate_one_bit, estimate_many)]
    for count in (1, 2, MANY, MANY + 1):
        searching.estimate(queries(count), "s")
    assert [len(kernel.signatures) for kernel in (estimate_one_bit, estimate_many)] == before


def test_a_query_that_has_nothing_in_a_segment_is_not_compared_there() -> None:
    rows = shard("s", 0, 40)
    only_first = queries(1)
    only_first[:, 64:] = 0
    want = quantized(only_first) @ decode(rows.codes, rows.scales, SEGMENTS).astype(np.float64).T
    np.testing.assert_allclose(searcher([rows]).estimate(only_first, "s"), want, rtol=1e-5, atol=1e-3)
    assert np.all(searcher([rows]).estimate(np.zeros((1, WIDTH), np.float32), "s") == 0)


def test_only_the_rows_that_count_are_found() -> None:
    shards = [shard("a", 0, 500), shard("b", 500, 700)]
    keep = {"a": np.arange(500) % 7 == 3, "b": np.zeros(700, bool)}
    found = searcher(shards).search(queries(2), ["a", "b"], 1000, [Order.HIGHEST], keep=keep)
    positions, _ = found.best[Order.HIGHEST].arrays(0)
    assert sorted(positions.tolist()) == np.flatnonzero(keep["a"]).tolist()
    assert found.searched == keep["a"].sum()


def test_a_search_ends_where_its_caller_says_so() -> None:
    def expired() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        searcher([shard("a", 0, 5)]).search(queries(1), ["a"], 1, [Order.HIGHEST], on_chunk=expired)


@pytest.mark.usefixtures("looked_up")
def test_mapped_codes_are_searched_as_they_lie(tmp_path: Path) -> None:
    rows = shard("s", 0, 100)
    np.save(tmp_path / "codes.npy", rows.codes)
    mapped = ShardRows(
        info=rows.info, codes=np.load(tmp_path / "codes.npy", mmap_mode="r"),
        scales=rows.scales, self_influence=rows.self_influence,
    )  # fmt: skip
    assert np.array_equal(
        searcher([mapped]).estimate(queries(MANY), "s"), searcher([rows]).estimate(queries(MANY), "s")
    )
