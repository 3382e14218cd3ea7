"""Validations that are made up, so that their answers are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whence_backends.validation.statistics.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class World:
    """Runs whose log-likelihoods are sums of true effects and noise. Shapes: [R, N], [Q, N], [R, Q]."""

    members: np.ndarray
    truth: np.ndarray
    measured: np.ndarray


def halves(rng: np.random.Generator, runs: int, sequences: int) -> np.ndarray:
    return np.stack([rng.permutation(sequences) < sequences // 2 for _ in range(runs)])


def world(
    rng: np.random.Generator, *, runs: int, queries: int, sequences: int = 60, noise: float | np.ndarray = 2.0,
    shared: float = 0.0,
) -> World:  # fmt: skip
    """Draw heavy-tailed effects; noise of each run and query; and noise of each run that its queries share."""
    members = halves(rng, runs, sequences)
    truth = rng.standard_t(3, size=(queries, sequences)) / 2
    seeds = noise * rng.normal(size=(runs, queries)) + shared * rng.normal(size=(runs, 1))
    return World(members=members, truth=truth, measured=members @ truth.T + seeds)


def coverage(estimates: list[Estimate], truth: float) -> float:
    return float(np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]))
