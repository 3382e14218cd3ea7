"""Scores of sequences of a corpus for every query, under several factors at once, in as few passes as memory allows.

The gradient of a training sequence is the same whatever the factors: served ones, others, or none (the dot product).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whence_backends.batching import plan_batches
from whence_backends.contract import Float64Array, TokenSequence
from whence_backends.corpus import Corpus
from whence_backends.ekfac.averaged import AveragedLanguageModel
from whence_backends.ekfac.batch import collate
from whence_backends.ekfac.factors import Factors
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.preconditioned import Preconditioned
from whence_backends.engines.pytorch import PytorchEngine

# Preconditions queries.
Variant = Callable[[Sequence[TokenSequence]], Preconditioned[Tensor]]
Asked = Mapping[str, tuple[Variant, Sequence[TokenSequence]]]
# Preconditioned queries of one pass on a CPU; a GPU gives a quarter of what is free, since they are put together there.
_PASS_BYTES: Final = 2 << 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Scanned:
    """What is scanned: positions of a corpus, int64 [n], in batches of so many tokens.

    ``progress`` gets the number of sequences that are scored and of all, each counted once for each pass.
    """

    corpus: Corpus
    positions: NDArray[np.int64]
    batch_tokens: int
    progress: Callable[[int, int], None]


def under(engine: PytorchEngine, factors: Factors, damping_factor: float) -> Variant:
    """Return the variant that preconditions with other factors of the engine's model."""

    def precondition(queries: Sequence[TokenSequence]) -> Preconditioned[Tensor]:
        other = engine.with_factors(factors)
        return other.precondition(other.query_gradients(queries), damping_factor)

    return precondition


def unconditioned(model: TrackedLanguageModel | AveragedLanguageModel) -> Variant:
    """Return the variant of the dot product: V is the query's gradient G = Σ_t s_t a_tᵀ itself."""

    def gradients(queries: Sequence[TokenSequence]) -> Preconditioned[Tensor]:
        layers = [
            torch.zeros(len(queries), spec.d_out, spec.d_in, dtype=_wide(model.dtype), device=model.device)
            for spec in model.specs
        ]
        for row, query in enumerate(queries):
            batch = collate([query], model.device)

            def keep(index: int, a: Tensor, s: Tensor, row: int = row) -> None:
                layers[index][row] = s[0].to(layers[index].dtype).T @ a[0].to(layers[index].dtype)

            model.trace(batch, model.data_targets(batch), keep)
        return Preconditioned(queries=len(queries), layers=list(layers))

    return gradients


def scan(engine: PytorchEngine, asked: Asked, over: Scanned) -> dict[str, Float64Array]:
    """Return the raw influence of each position on each query, float64 [Q, n], by the name of the variant."""
    rows = [(name, row) for name, (_, queries) in asked.items() for row in range(len(queries))]
    step = max(1, _pass_bytes(engine) // _row_bytes(engine))
    passes = [rows[start : start + step] for start in range(0, len(rows), step)]
    scores = {name: np.zeros((len(queries), len(over.positions))) for name, (_, queries) in asked.items()}
    for number, chosen in enumerate(passes):
        values = _pass(engine, _prepared(asked, chosen), over, number, len(passes))
        for (name, row), of_query in zip(chosen, values, strict=True):
            scores[name][row] = of_query
    return scores


def _prepared(asked: Asked, rows: Sequence[tuple[str, int]]) -> Preconditioned[Tensor]:
    """Return the preconditioned queries of rows, which are sorted by variant, in their order."""
    parts: list[Preconditioned[Tensor]] = []
    for name in dict.fromkeys(name for name, _ in rows):
        variant, queries = asked[name]
        parts.append(variant([queries[row] for other, row in rows if other == name]))
    layers = [
        torch.cat([part for part in of_layer if isinstance(part, Tensor)])
        for of_layer in zip(*(part.layers for part in parts), strict=True)
    ]
    return Preconditioned(queries=len(rows), layers=list(layers))


def _pass(
    engine: PytorchEngine, prepared: Preconditioned[Tensor], over: Scanned, number: int, passes: int
) -> Float64Array:
    total, lengths = len(over.positions), over.corpus.all_lengths()[over.positions]
    scores, done = np.zeros((prepared.queries, total)), number * total
    for columns in plan_batches(lengths, over.batch_tokens):
        over.progress(done, passes * total)
        scores[:, columns] = engine.score(prepared, over.corpus.tokens_at(over.positions[columns].tolist()))
        done += len(columns)
    over.progress(done, passes * total)
    return scores


def _row_bytes(engine: PytorchEngine) -> int:
    """Return the size of one preconditioned query."""
    wide = 8 if engine.traced.dtype == torch.float64 else 4
    return wide * sum(spec.d_in * spec.d_out for spec in engine.info.layers)


def _pass_bytes(engine: PytorchEngine) -> int:
    if engine.traced.device.type != "cuda":
        return _PASS_BYTES
    return int(torch.cuda.mem_get_info(engine.traced.device)[0] // 4)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
