"""Search time against the machine's memory bandwidth, over rows and queries, in one run.

    python tests/benchmarks/search_scale.py [--rows 10000 100000 1000000] [--queries 1 4 16 64 256]

Codes, scales and queries are random: the arithmetic does not know the difference. The bandwidth is what as many threads
read from the largest array that was searched, by an exclusive-or over all of it; each figure is the best of --repeats.
bandwidth_share_q1 is the bytes per second of one query over the largest array, as a share of that; batch64_cost_ratio
the time of 64 queries at once over 64 times the time of one, better below 1; selecting the best thousand is included.
MB is the most memory that a search took besides the codes (with --folder, pages of the file count as well). The lines
before the last say, of the last array and 64 queries, what cutting them to four bits takes, and what counting and
looking sums up take (lookup_speedup), without selecting.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import Measured, print_figures, print_machine

from whence_backends.index import search
from whence_backends.index.plan import Segment, share_out
from whence_backends.index.search import QueryLevels, Searcher
from whence_backends.index.storage import IndexedShard, ShardRows
from whence_backends.topk import Order


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--values", type=int, default=15872, help="of a sketch, one bit each")
    parser.add_argument("--groups", type=int, default=4, help="segments of a sketch")
    parser.add_argument("--candidates", type=int, default=1000, help="how many of the best are selected")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", help="search with torch there, such as cuda; the kernel for CPUs otherwise")
    parser.add_argument("--folder", type=Path, help="keep the codes in a mapped file here, for more than memory holds")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    segments, start = [], 0
    for number, width in enumerate(share_out(options.values, [1] * options.groups)):
        segments.append(Segment(layers=(str(number),), start=start, width=width))
        start += width
    rng = np.random.default_rng(0)
    most = max(options.rows)
    codes = make_codes(options, rng)
    scales = rng.random((most, options.groups), dtype=np.float32)
    bandwidth = codes.nbytes / best(options.repeats, lambda: read(codes, options.threads))
    bytes_per_row = codes.shape[1] + 4 * options.groups
    print(f"# {bytes_per_row} bytes a row; {options.threads} threads read {bandwidth / 1e9:.1f} GB/s")
    print(f"{'rows':>10} {'queries':>8} {'ms':>10} {'GB/s':>8} {'share of bandwidth':>19} {'ms a query':>11} {'MB':>6}")
    seconds: dict[tuple[int, int], float] = {}
    speedup = math.nan
    for rows in options.rows:
        info = IndexedShard(name="s", first_position=0, sequences=rows)
        part = ShardRows(info=info, codes=codes[:rows], scales=scales[:rows], self_influence=scales[:rows, 0])
        searcher = make_searcher(options, part, segments)
        for count in options.queries:
            sketches = rng.normal(size=(count, options.values)).astype(np.float32)

            def ask(searcher: Searcher = searcher, sketches: np.ndarray = sketches) -> None:
                searcher.search(sketches, ["s"], options.candidates, [Order.HIGHEST])

            with Measured() as memory:
                ask()
            took = seconds[rows, count] = best(options.repeats if count < 64 else 2, ask)
            rate = rows * bytes_per_row / took
            print(
                f"{rows:>10} {count:>8} {took * 1e3:>10.2f} {rate / 1e9:>8.2f} {rate / bandwidth:>19.1%} "
                f"{took / count * 1e3:>11.3f} {memory.peak_bytes / 1e6:>6.0f}",
                flush=True,
            )
        if rows == options.rows[-1] and not options.device:
            speedup = compare_kernels(searcher, part, segments, rng)
        searcher.close()
    print_figures(
        bandwidth_share_q1=most * bytes_per_row / seconds[most, 1] / bandwidth,
        batch64_cost_ratio=seconds[most, 64] / (64 * seconds[most, 1]),
        bytes_per_row=bytes_per_row,
        lookup_speedup=speedup,
    )


def compare_kernels(searcher: Searcher, rows: ShardRows, segments: list[Segment], rng: np.random.Generator) -> float:
    """Return the time of counting over that of looking up, for 64 queries, whose estimates have to be the same."""
    sketches = rng.normal(size=(64, segments[-1].stop)).astype(np.float32)
    quantizing = best(3, lambda: QueryLevels.of(sketches, segments))
    print(f"# 64 queries are cut to four bits in {quantizing * 1e3:.1f} ms")
    seconds, found = [], []
    lanes = search.LANES
    for search.LANES in (0, lanes):
        seconds.append(best(2, lambda: found.append(searcher.estimate(sketches, rows.info.name)[:, ::97])))
    assert np.array_equal(found[0], found[-1])
    print(f"# counting takes {seconds[0] * 1e3:.0f} ms, looking up {seconds[1] * 1e3:.0f} ms")
    return seconds[0] / seconds[1]


def make_searcher(options: argparse.Namespace, rows: ShardRows, segments: list[Segment]) -> Searcher:
    if not options.device:
        return Searcher({"s": rows}, segments, threads=options.threads)
    from whence_backends.index.device_search import DeviceSearcher

    return DeviceSearcher({"s": rows}, segments, device=options.device)


def make_codes(options: argparse.Namespace, rng: np.random.Generator) -> np.ndarray:
    """Return random codes, in memory or mapped; a million rows at a time."""
    shape = (max(options.rows), options.values // 8)
    if options.folder is None:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    options.folder.mkdir(parents=True, exist_ok=True)
    codes = np.lib.format.open_memmap(options.folder / "codes.npy", mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, shape[0], 1_000_000):
        codes[start : start + 1_000_000] = rng.integers(0, 256, codes[start : start + 1_000_000].shape, dtype=np.uint8)
    codes.flush()
    return np.load(options.folder / "codes.npy", mmap_mode="r")


def read(codes: np.ndarray, threads: int) -> None:
    words = codes.view(np.uint64)
    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(lambda part: np.bitwise_xor.reduce(part, axis=None), np.array_split(words, threads)))


def best(repeats: int, work: Callable[[], None]) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
