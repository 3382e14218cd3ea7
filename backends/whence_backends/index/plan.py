"""The plan of an index: the coordinates of a gradient that it keeps, and their fold into the values of a sketch. Pure.

A gradient in half-whitened coordinates is w = (Q_Sᵀ G Q_A) ⊘ √(Λ + λ): an influence is ⟨w(query), w(sequence)⟩. Of
these coordinates those with the largest Λ/(Λ + λ), their expected square, are kept. They are put in random order, given
random signs and folded, a structured count-sketch (Charikar et al. 2002): inner products stay the same in expectation.

Layers are grouped into segments. Each segment has its own values, so that a search can be restricted to some layers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Int32Array, LayerFold, LayerSpec, SketchPlan
from whence_backends.ekfac.damping import damping, is_dead

# A segment's values fill whole vectors of 512 bits, which processors compare at a time.
VECTOR: Final = 512
_LARGEST_SHARE: Final = 0.5
_COORDINATES_A_VALUE: Final = 50
_LARGEST_DAMPED: Final = float(np.finfo(np.float32).max)
_FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A group of layers, and its values in a sketch: ``width`` of them, starting at ``start``."""

    layers: tuple[str, ...]
    start: int
    width: int

    @property
    def stop(self) -> int:
        """The end of its values."""
        return self.start + self.width


def group_layers(layers: Sequence[LayerSpec], groups: int) -> list[list[int]]:
    """Return the indices of the layers of at most ``groups`` segments: neighbouring blocks of the model.

    The layers of a block have the same first number in their names: ``model.layers.3.mlp.up_proj`` is in block 3.
    Layers without a number form one block.
    """
    blocks: dict[str, list[int]] = {}
    for index, layer in enumerate(layers):
        number = re.search(r"\d+", layer.name)
        blocks.setdefault(number.group() if number else "", []).append(index)
    parts = np.array_split(np.arange(len(blocks)), min(groups, len(blocks)))
    listed = list(blocks.values())
    return [[index for block in part for index in listed[block]] for part in parts]


def share_out(width: int, counts: Sequence[int]) -> list[int]:
    """Return the widths of the segments, which add up to ``width``: whole vectors, in proportion to ``counts``.

    Raises :class:`~whence.errors.InvalidRequestError` where ``width`` is no multiple of 512 or too small.
    """
    if width % VECTOR or width < VECTOR * len(counts):
        raise InvalidRequestError(
            f"a sketch of {width} values; expected a multiple of {VECTOR} and at least {VECTOR} for each of the "
            f"{len(counts)} layer groups",
            reason=Reason.INVALID_SKETCH_WIDTH,
            field="values",
        )
    vectors = np.ones(len(counts), np.int64)
    free = width // VECTOR - len(counts)
    shares = np.asarray(counts, np.float64) if any(counts) else np.ones(len(counts))
    exact = free * shares / shares.sum()
    vectors += np.floor(exact).astype(np.int64)
    leftover = width // VECTOR - int(vectors.sum())
    vectors[np.argsort(-(exact % 1), kind="stable")[:leftover]] += 1
    return [int(count) * VECTOR for count in vectors]


def default_keep(width: int, coordinates: int) -> float:
    """Return the share of coordinates to keep in sketches of ``width`` values: at most half, and fifty per value.

    More coordinates add more noise than signal; both numbers were chosen by measurement (docs/index.md).
    """
    return min(_LARGEST_SHARE, _COORDINATES_A_VALUE * width / max(1, coordinates))


def keep_largest(expected_squares: Sequence[_FloatArray], keep: float) -> list[Int32Array]:
    """Return the flat indices, ascending, of the share ``keep`` of all coordinates that have the largest values.

    ``expected_squares`` holds Λ/(Λ + λ) of each layer, any shape. Ties go to the earlier layer, then to the lower
    index.
    """
    flat = [array.reshape(-1) for array in expected_squares]
    total = sum(array.size for array in flat)
    count = max(1, min(total, round(keep * total)))
    threshold = np.partition(np.concatenate(flat), total - count)[total - count]
    ties = count - sum(int((array > threshold).sum()) for array in flat)
    kept = []
    for array in flat:
        tied = np.flatnonzero(array == threshold)[:ties]
        ties -= len(tied)
        kept.append(np.union1d(np.flatnonzero(array > threshold), tied).astype(np.int32))
    return kept


def make_plan(
    layers: Sequence[LayerSpec],
    Lambdas: Sequence[_FloatArray],
    *,
    damping_factor: float,
    keep: float,
    width: int,
    groups: int,
    seed: int,
) -> tuple[SketchPlan, tuple[Segment, ...]]:
    """Return the plan of the sketches of these layers' gradients, and their segments.

    ``Lambdas`` are the corrected eigenvalues [D_out, D_in] of each layer; λ = damping_factor · mean(Λ) of each. The
    plan is a function of the arguments and of numpy's version, so an index stores it.
    """
    if not 0 < keep <= 1:
        raise InvalidRequestError(
            f"a share of {keep} of the coordinates; expected more than 0 and at most 1",
            reason=Reason.INVALID_KEEP,
            field="keep",
        )
    if not (np.isfinite(damping_factor) and damping_factor > 0):
        raise InvalidRequestError(
            f"the damping factor is {damping_factor}; expected a positive number, such as 0.1",
            reason=Reason.INVALID_DAMPING_FACTOR,
            field="damping_factor",
        )
    damped = [Lambda + damping(float(Lambda.mean()), damping_factor) for Lambda in map(_wide, Lambdas)]
    alive = [not is_dead(float(_wide(Lambda).mean())) for Lambda in Lambdas]
    if any(not total.max(initial=0.0) <= _LARGEST_DAMPED for total in compress(damped, alive)):
        raise InvalidRequestError(
            f"the damping factor is {damping_factor}, with which Λ + λ is more than float32 holds; expected a multiple "
            "of each layer's mean eigenvalue, such as 0.1",
            reason=Reason.INVALID_DAMPING_FACTOR,
            field="damping_factor",
        )
    kept = keep_largest([_wide(Lambda) / total for Lambda, total in zip(Lambdas, damped, strict=True)], keep)
    grouped = group_layers(layers, groups)
    widths = share_out(width, [sum(len(kept[index]) for index in group) for group in grouped])
    folds: dict[int, LayerFold] = {}
    segments, start = [], 0
    for group, wide in zip(grouped, widths, strict=True):
        segments.append(Segment(layers=tuple(layers[index].name for index in group), start=start, width=wide))
        for index in group:
            rng = np.random.Generator(np.random.Philox(key=[seed, index]))
            folds[index] = _fold(kept[index], damped[index].reshape(-1), start, wide, rng)
        start += wide
    ordered = tuple(folds[index] for index in range(len(layers)))
    return SketchPlan(width=width, damping_factor=damping_factor, folds=ordered), tuple(segments)


def _fold(kept: Int32Array, damped: _FloatArray, start: int, width: int, rng: np.random.Generator) -> LayerFold:
    """Return the fold of the coordinates ``kept``: in random order and with random signs, ``width`` per row."""
    rows = -(-len(kept) // width)
    indices = np.zeros(rows * width, np.int32)
    weights = np.zeros(rows * width, np.float32)
    # The last row may have gaps. It starts at a random value, so that the gaps are not always at the last values.
    places = (np.arange(len(kept)) + int(rng.integers(width))) % (rows * width) if rows else np.arange(0)
    indices[places] = rng.permutation(kept)
    weights[places] = rng.choice(np.array([-1.0, 1.0]), len(kept)) / np.sqrt(damped[indices[places]])
    return LayerFold(start=start, indices=indices.reshape(rows, width), weights=weights.reshape(rows, width))


def _wide(Lambda: _FloatArray) -> NDArray[np.float64]:
    return Lambda.astype(np.float64)
