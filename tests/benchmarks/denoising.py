"""Which way of taking the noise off influences is true? Those that were tried, on the banks of retrained models.

For each bank: the LDS of each way, with its paired difference from influences as they are; the sizes that the served
way gives by rank beside those measured; how true its significance is; and how much it tells from noise where there is
nothing to tell, in the same influences with signs drawn at random.

Run: `python tests/benchmarks/denoising.py [--bank demo]`
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from truth import Ground, measured_lds, read, written

from whence_backends.contract import Float64Array
from whence_backends.validation.methods import denoise
from whence_backends.validation.statistics.effects import in_out

RANKS: Final = ((1, 1), (2, 3), (4, 10), (11, 30), (31, 100), (101, 300))
CLAIMS: Final = (0.5, 0.6, 0.75, 0.9, 0.95, 0.99, 1.01)


def main() -> None:
    """Print the tables of each bank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", action="append", choices=["demo", "python"])
    parser.add_argument("--work", type=Path, help="Keep factors and indexes here, for another run.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.bank or ("demo", "python"):
            report(read(name, (arguments.work or Path(folder)) / name, all_linear=False))


def report(ground: Ground) -> None:
    """Print the tables of a bank."""
    influence = ground.scores.influence
    plain = measured_lds(ground, influence)
    print(f"\n{'LDS':34} {'':14} {'less influence':>16}")
    for name, way in WAYS.items():
        lds = measured_lds(ground, way(influence))
        print(f"{name:34} {written(lds.estimate()):14} {written(lds.minus(plain), signed=True):>16}")
    print_sizes(ground)
    print_claims(ground)


def print_sizes(ground: Ground) -> None:
    """Print predicted and measured sizes by rank, in nats."""
    influence = ground.scores.influence
    effect = in_out(ground.halves.members, ground.halves.queries).values
    order = np.argsort(-influence, axis=1, kind="stable")
    sizes = {"influence": influence, "normal noise": normal_noise(influence), "served": served(influence)}
    print(f"\n{'rank':12} " + " ".join(f"{name:>14}" for name in (*sizes, "measured")))
    for first, last in RANKS:
        columns = order[:, first - 1 : last]
        means = [np.take_along_axis(values, columns, 1).mean() for values in (*sizes.values(), effect)]
        print(f"{f'{first} to {last}':12} " + " ".join(f"{mean:+14.3f}" for mean in means))


def print_claims(ground: Ground) -> None:
    """Print what is measured of positive hits by their significance, and the claims among signs drawn at random."""
    influence = ground.scores.influence
    effect = in_out(ground.halves.members, ground.halves.queries).values
    significance = denoise(influence).significance
    flipped = np.abs(influence) * np.random.default_rng(0).choice([-1.0, 1.0], influence.shape)
    chance = denoise(flipped).significance
    print(
        f"\n{'significance':14} {'hits':>7} {'predicted':>10} {'measured':>10} {'right sign':>11} {'random signs':>13}"
    )
    for low, high in pairwise(CLAIMS):
        hits = (significance >= low) & (significance < high) & (influence > 0)
        by_chance = ((chance >= low) & (chance < high) & (flipped > 0)).sum()
        if hits.any():
            print(
                f"{f'{low:.2f} to {min(high, 1):.2f}':14} {hits.sum():7} {influence[hits].mean():+10.3f} "
                f"{effect[hits].mean():+10.3f} {(effect[hits] > 0).mean():11.2f} {by_chance:13}"
            )


def served(influence: Float64Array) -> Float64Array:
    """Return the signal that answers carry."""
    return denoise(influence).signal


def scale_of(influence: Float64Array) -> Float64Array:
    """Return the scale of each query's noise, float64 [Q, 1], from its median size."""
    return 1.4826 * np.median(np.abs(influence), axis=1, keepdims=True)


def soft(multiple: float) -> Callable[[Float64Array], Float64Array]:
    """Return the soft threshold at so many scales of the noise."""

    def shrink(influence: Float64Array) -> Float64Array:
        kept: Float64Array = np.maximum(np.abs(influence) - multiple * scale_of(influence), 0)
        return np.sign(influence) * kept

    return shrink


def normal_noise(influence: Float64Array) -> Float64Array:
    """Return the posterior means of Stephens 2017: normal noise, a mixture of normal distributions about zero."""
    units = influence / scale_of(influence)
    variances = np.array([0.0, *(4.0**power for power in range(-1, 13))])
    shrunk = np.empty_like(units)
    for query, row in enumerate(units):
        squares = row[:, None] ** 2 / (1 + variances) / 2
        densities = np.exp(squares.min(axis=1, keepdims=True) - squares) / np.sqrt(1 + variances)  # [N, parts]
        weights = np.full(len(variances), 1 / len(variances))
        for _ in range(200):
            parts = densities * weights
            weights = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
        parts = densities * weights
        shrunk[query] = row * (parts @ (variances / (1 + variances))) / parts.sum(axis=1)
    return shrunk * scale_of(influence)


def tails_of_the_other_sign(influence: Float64Array) -> Float64Array:
    """Return positive influences less the share that negative ones of their size have, by isotonic regression.

    The chance of noise is the number of negative influences over that of positive ones, made to fall with the size
    (pool adjacent violators), with half a negative one beyond the largest: knockoffs, by size (Barber and Candès 2015).
    """
    shrunk = np.zeros_like(influence)
    for query, row in enumerate(influence):
        order = np.argsort(-np.abs(row), kind="stable")
        blocks = [[0.5, 0.0, 0]]  # negative, positive, length
        for negative in row[order] < 0:
            blocks.append([float(negative), float(not negative), 1])
            while len(blocks) > 1 and blocks[-2][0] * sum(blocks[-1][:2]) >= blocks[-1][0] * sum(blocks[-2][:2]):
                last = blocks.pop()
                blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
        noise = [min(1.0, negative / positive) if positive else 1.0 for negative, positive, _ in blocks]
        chance = np.repeat(noise, [length for *_, length in blocks])
        shrunk[query, order] = np.maximum(row[order], 0) * (1 - chance)
    return shrunk


def positive(way: Callable[[Float64Array], Float64Array]) -> Callable[[Float64Array], Float64Array]:
    """Return what a way leaves of positive influences."""
    return lambda influence: np.maximum(way(influence), 0)


WAYS: Final[dict[str, Callable[[Float64Array], Float64Array]]] = {
    "influence": lambda influence: influence,
    "positive influence": lambda influence: np.maximum(influence, 0),
    **{f"soft threshold at {multiple}": soft(multiple) for multiple in (1, 2, 4, 8)},
    **{f"soft threshold at {multiple}, positive": positive(soft(multiple)) for multiple in (1, 2, 4, 8)},
    "normal noise": normal_noise,
    "normal noise, positive": positive(normal_noise),
    "the other sign's tails": tails_of_the_other_sign,
    "served": served,
    "served, positive": positive(served),
}


if __name__ == "__main__":
    main()
