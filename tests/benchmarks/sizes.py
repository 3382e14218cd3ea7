"""Is there a truer map from predicted to measured size than the signal? Fitted on one bank, held against the other.

Of each query of the banks of `tests/banks`: the first hits by influence, what they are measured to do (in-out effects
over halves) and what maps of the signal s predict. The constants of a map are fitted by least squares on one bank. On
the other, `error²` is the mean square of what is measured less what is predicted, in nats², less the variance of the
measurement, which no map can predict; `gain` is by how much it is smaller than the signal's own. Its error is
jackknifed jointly over queries and halves; the constants are taken as given.

In the maps u is -log p of the query, what there is to gain; h the self-influence of the sequence, in nats; and l the
loss of the sequence under the model, relative to the mean over the corpus.

Run: `python tests/benchmarks/sizes.py`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.optimize import minimize
from truth import Ground, read, written

from whence_backends.contract import Float64Array
from whence_backends.validation.methods import denoise
from whence_backends.validation.plan import RunKind
from whence_backends.validation.statistics.effects import in_out
from whence_backends.validation.statistics.jackknife import joint_estimate

DEPTHS: Final = (3, 10, 30)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """The first hits of each query, float64 [Q, K]: signal, what there is to gain, self-influence and relative loss.

    ``measured`` and ``without`` have the effects over all halves and over all but each: [Q, K] and [R, Q, K].
    ``variance`` is that of the measurement.
    """

    signal: Float64Array
    surprise: Float64Array
    self_influence: Float64Array
    loss: Float64Array
    measured: Float64Array
    without: Float64Array
    variance: Float64Array


Map = Callable[[Hits, Float64Array], Float64Array]
MAPS: Final[Mapping[str, tuple[Map, tuple[float, ...]]]] = {
    "b s": (lambda hits, p: p[0] * hits.signal, (1.0,)),
    "a + b s": (lambda hits, p: p[0] + p[1] * hits.signal, (0.0, 1.0)),
    "b s^k": (lambda hits, p: p[0] * np.sign(hits.signal) * np.abs(hits.signal) ** p[1], (1.0, 1.0)),
    "min(s, c u)": (lambda hits, p: np.minimum(hits.signal, np.abs(p[0]) * hits.surprise), (0.3,)),
    "c u (1 - exp(-s / c u))": (lambda hits, p: _saturated(hits, p[0]), (1.0,)),
    "s / (1 + c h)": (lambda hits, p: hits.signal / (1 + np.abs(p[0]) * hits.self_influence), (0.01,)),
    "b min(s, c u)": (lambda hits, p: p[0] * np.minimum(hits.signal, np.abs(p[1]) * hits.surprise), (1.0, 0.3)),
    "b c u (1 - exp(-s / c u))": (lambda hits, p: p[0] * _saturated(hits, p[1]), (1.0, 1.0)),
    "b s / (1 + c h)": (lambda hits, p: p[0] * hits.signal / (1 + np.abs(p[1]) * hits.self_influence), (1.0, 0.1)),
    "b s + c s l": (lambda hits, p: hits.signal * (p[0] + p[1] * hits.loss), (1.0, 0.1)),
    "b s + c s u": (lambda hits, p: hits.signal * (p[0] + p[1] * hits.surprise / 100), (1.0, 0.1)),
}


def main() -> None:
    """Print, for each number of hits and each direction between the banks, the error of each map."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        grounds = {name: read(name, work / name, all_linear=False) for name in ("python", "demo")}
    report(grounds)


def report(grounds: Mapping[str, Ground]) -> None:
    """Print the tables."""
    for depth in DEPTHS:
        hits = {name: first_hits(ground, depth) for name, ground in grounds.items()}
        for fitted, held in (("python", "demo"), ("demo", "python")):
            print_maps(hits[fitted], hits[held], f"first {depth}: {fitted} -> {held}")


def first_hits(ground: Ground, depth: int) -> Hits:
    """Return the first hits of each query by influence."""
    effects = in_out(ground.halves.members, ground.halves.queries)
    order = np.argsort(-ground.scores.influence, axis=1, kind="stable")[:, :depth]

    def of(values: Float64Array) -> Float64Array:
        return np.take_along_axis(values, order, axis=1)

    [model] = [number for number, run in enumerate(ground.all_runs.runs) if run.number == 0]
    loss = -ground.all_runs.sequences[model]
    surprise = -ground.scores.log_likelihoods
    assert ground.all_runs.runs[model].kind is RunKind.FULL
    return Hits(
        signal=of(denoise(ground.scores.influence).signal),
        surprise=np.repeat(surprise[:, None], depth, axis=1),
        self_influence=ground.scores.self_influence[order],
        loss=(loss / loss.mean())[order],
        measured=of(effects.values),
        without=np.stack([of(effects.without(run)) for run in range(len(ground.halves.runs))]),
        variance=of(effects.standard_errors**2),
    )


def print_maps(fitted: Hits, held: Hits, title: str) -> None:
    """Print the out-of-bank error of the signal and what each map gains on it."""
    plain = (held.measured - held.signal) ** 2 - held.variance
    print(f"\n{title:26} {'constants':>16} {'error²':>9} {'gain':>18}")
    print(f"{'s':26} {'':16} {plain.mean():9.2f}")
    for name, (function, start) in MAPS.items():
        constants = fit(function, start, fitted)
        predicted = function(held, constants)
        gain = gain_of(held.measured, held.signal, predicted)
        left_out = np.stack([gain_of(measured, held.signal, predicted) for measured in held.without])
        error = ((held.measured - predicted) ** 2 - held.variance).mean()
        told = " ".join(f"{value:.3g}" for value in constants)
        print(f"{name:26} {told:>16} {error:9.2f} {written(joint_estimate(gain, left_out), signed=True):>18}")


def gain_of(measured: Float64Array, signal: Float64Array, predicted: Float64Array) -> Float64Array:
    """Return how much smaller each query's mean square error is, float64 [Q]."""
    return ((measured - signal) ** 2 - (measured - predicted) ** 2).mean(axis=1)


def fit(function: Map, start: tuple[float, ...], hits: Hits) -> Float64Array:
    """Return the constants with the least squares of what is left."""
    best = minimize(
        lambda constants: float(((hits.measured - function(hits, constants)) ** 2).mean()),
        np.array(start), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-6, "fatol": 1e-9},
    )  # fmt: skip
    constants: Float64Array = best.x
    return constants


def _saturated(hits: Hits, constant: float) -> Float64Array:
    room = np.maximum(np.abs(constant), 1e-6) * hits.surprise
    saturated: Float64Array = -room * np.expm1(-np.maximum(hits.signal, 0) / room)
    return saturated


if __name__ == "__main__":
    main()
