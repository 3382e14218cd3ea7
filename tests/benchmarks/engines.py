"""The engines ort and pytorch on the same work, in one run.

    python tests/benchmarks/engines.py [--model smollm2] [--threads 2]

Each engine lives in a process of its own; the two take turns, so that neither has the machine to itself for longer.
Without --model the model is Llama-shaped with random weights and the corpus random tokens; smollm2 is the real model on
the Python language's reference. All ratios are ort / pytorch: query_latency_ratio, startup_ratio and rss_ratio (peak
resident memory) are better below 1, scan_ratio (tokens per second with one query; _many: with --queries) above.
max_rel_err is the largest difference of an influence, relative to the largest influence; same_top20 the share of
queries for which both engines have the same 20 sequences in the same order.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from workload import random_llama, random_tokens

ENGINES = ("pytorch", "ort")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["llama", "smollm2"], default="llama")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--queries", type=int, default=16, help="of the second scan; the first has one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="each figure is the best of so many")
    parser.add_argument("--folder", type=Path, help="keep model, factors and export here, and use what is there")
    parser.add_argument("--child", nargs=2, metavar=("ENGINE", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """Make model, sequences, factors and export in ``folder``, unless they are there."""
    from data import InMemory
    from whence_backends.export import ExportConfig, export
    from whence_backends.fit import FitConfig, fit

    real = options.model == "smollm2"
    if not (folder / "tokens.npy").exists():
        np.save(folder / "tokens.npy", real_text(options) if real else random_text(options))
    if not real and not (folder / "model").exists():
        shape = {"width": options.width, "depth": options.depth, "vocabulary": options.vocabulary}
        random_llama(folder / "model", **shape, tokens=options.tokens)
    model = "smollm2" if real else str(folder / "model")
    config = FitConfig(model=model, out=folder / "factors", max_sequences=16, batch_tokens=options.batch_tokens)
    fit(config, InMemory(sequences(folder)))
    started = time.perf_counter()
    export(ExportConfig(model=model, out=folder / "export"))
    print(f"# export took {time.perf_counter() - started:.1f} s")


def random_text(options: argparse.Namespace) -> np.ndarray:
    return random_tokens(sequences=options.sequences, tokens=options.tokens, vocabulary=options.vocabulary)


def real_text(options: argparse.Namespace) -> np.ndarray:
    """Return the Python language's reference, cut into sequences, as token ids [sequences, tokens]."""
    from pydoc_data.topics import topics

    from whence_backends.models import Tokenizer, resolve_model

    tokenizer = Tokenizer.load(resolve_model("smollm2"))
    ids = [token for name in sorted(topics) for token in tokenizer.encode(topics[name])[0]]
    count = min(options.sequences, len(ids) // options.tokens)
    return np.array(ids[: count * options.tokens], np.int32).reshape(count, options.tokens)


def sequences(folder: Path) -> list[Any]:
    from whence_backends.contract import TokenSequence

    tokens = np.load(folder / "tokens.npy")
    weights = np.ones(tokens.shape[1], np.float32)
    weights[0] = 0
    return [TokenSequence(token_ids=ids, weights=weights) for ids in tokens]


def child(options: argparse.Namespace) -> None:
    """Load one engine, then do what the parent asks for, a line each."""
    from whence_backends.batching import plan_batches
    from whence_backends.contract import EngineConfig
    from whence_backends.engines import load_engine

    name, folder = options.child[0], Path(options.child[1])
    model = folder / "export" if name == "ort" else folder / "model"
    reference = "smollm2" if name == "pytorch" and options.model == "smollm2" else str(model)
    config = EngineConfig(model=reference, factors=folder / "factors", device="cpu", threads=options.threads)
    engine = load_engine(name, config)
    say(held=resident_bytes())
    items = sequences(folder)
    batches = plan_batches([len(item.token_ids) for item in items], options.batch_tokens)
    gradients = engine.query_gradients(items[: options.queries])
    say(ready=True)
    for line in sys.stdin:
        kind, _, count = line.strip().partition(" ")
        started = time.perf_counter()
        if kind == "query":
            engine.query_gradients(items[:1])
            say(seconds=time.perf_counter() - started)
        elif kind == "scan":
            prepared = engine.precondition(gradients[: int(count)], 0.1)
            prepared_at = time.perf_counter()
            found = np.zeros((int(count), len(items)))
            for batch in batches:
                found[:, batch] = engine.score(prepared, [items[i] for i in batch])
            np.save(folder / f"{name}-{count}.npy", found)
            say(seconds=time.perf_counter() - prepared_at, precondition=prepared_at - started)
        else:
            say(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


@dataclass(kw_only=True)
class Child:
    """An engine in a process of its own. ``startup_s`` is from its start to the engine being loaded."""

    process: subprocess.Popen[str]
    startup_s: float
    held_bytes: int

    @classmethod
    def start(cls, engine: str, folder: Path) -> Child:
        started = time.perf_counter()
        command = [sys.executable, __file__, *sys.argv[1:], "--child", engine, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        held = json.loads(process.stdout.readline())["held"]
        startup_s = time.perf_counter() - started
        process.stdout.readline()
        return cls(process=process, startup_s=startup_s, held_bytes=held)

    def ask(self, command: str) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> None:
        self.process.communicate()


def in_turn(children: dict[str, Child], command: str, repeats: int) -> dict[str, dict[str, float]]:
    """Return the best of the repeats for each engine, the engines taking turns."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for name, one in children.items():
            answer = one.ask(command)
            known = best.setdefault(name, answer)
            best[name] = {key: min(value, known[key]) for key, value in answer.items()}
    return best


def installed_bytes(extra: str) -> int:
    """Return the size of all files that whence with this extra needs, of the packages as they are installed here."""
    seen: dict[str, Distribution] = {}
    _collect("whence", (extra,), seen)
    return sum(
        path.stat().st_size
        for name, found in seen.items()
        if name != "whence"
        for file in found.files or []
        if (path := Path(str(file.locate()))).is_file()
    )


def _collect(name: str, extras: Sequence[str], seen: dict[str, Distribution]) -> None:
    from packaging.requirements import Requirement

    key = re.sub(r"[-_.]+", "-", name).lower()
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    if key in seen and not extras:
        return
    seen[key] = found
    for line in found.requires or []:
        requirement = Requirement(line)
        wanted = any(requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in (*extras, ""))
        if wanted:
            _collect(requirement.name, tuple(requirement.extras), seen)


def main() -> None:
    options = arguments()
    if options.child:
        child(options)
        return
    from measure import print_figures, print_machine

    print_machine()
    import onnxruntime

    print(f"# onnxruntime {onnxruntime.__version__}, {options.threads} threads each, float32")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        prepare(options, folder)
        startup: dict[str, float] = {}
        for last in [False] * (options.repeats - 1) + [True]:
            children = {name: Child.start(name, folder) for name in ENGINES}
            for name, one in children.items():
                startup[name] = min(one.startup_s, startup.get(name, np.inf))
                if not last:
                    one.end()
        query = in_turn(children, "query", 3 * options.repeats)
        counts = (1, options.queries)
        scans = {count: in_turn(children, f"scan {count}", options.repeats) for count in counts}
        peak = {name: one.ask("memory")["peak"] for name, one in children.items()}
        held = {name: one.held_bytes for name, one in children.items()}
        for one in children.values():
            one.end()
        worst = max(difference(folder, count) for count in counts)
        same = same_top(folder, options.queries, 20)
        tokens = sum(len(item.token_ids) for item in sequences(folder))
    size = {"pytorch": installed_bytes("torch"), "ort": installed_bytes("onnx")}
    print(f"# {options.model}, {tokens} tokens in sequences of {options.tokens}, batches of {options.batch_tokens}")
    for name in ENGINES:
        rates = "  ".join(f"scan q={count} {tokens / scans[count][name]['seconds']:7.0f} tokens/s" for count in counts)
        print(
            f"{name:8} start {startup[name]:6.2f} s  query {query[name]['seconds'] * 1e3:8.1f} ms  {rates}  "
            f"memory {held[name] / 2**20:6.0f} MiB loaded, {peak[name] / 2**20:6.0f} at most  "
            f"installed {size[name] / 2**20:5.0f} MiB"
        )
    print_figures(
        query_latency_ratio=query["ort"]["seconds"] / query["pytorch"]["seconds"],
        scan_ratio=scans[1]["pytorch"]["seconds"] / scans[1]["ort"]["seconds"],
        scan_ratio_many=scans[counts[1]]["pytorch"]["seconds"] / scans[counts[1]]["ort"]["seconds"],
        startup_ratio=startup["ort"] / startup["pytorch"],
        rss_ratio=peak["ort"] / peak["pytorch"],
        installed_ratio=size["ort"] / size["pytorch"],
        max_rel_err=worst,
        same_top20=same,
    )


def difference(folder: Path, count: int) -> float:
    ours, theirs = (np.load(folder / f"{name}-{count}.npy") for name in ("ort", "pytorch"))
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def same_top(folder: Path, count: int, top: int) -> float:
    ours, theirs = (np.argsort(-np.load(folder / f"{name}-{count}.npy"), kind="stable")[:, :top] for name in ENGINES)
    return float((ours == theirs).all(axis=1).mean())


if __name__ == "__main__":
    main()
