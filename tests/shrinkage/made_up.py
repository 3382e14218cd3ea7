"""Made-up influences whose true values are known: a true one, of most sequences 0, plus noise."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

Noise = Callable[[random.Random], float]


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """True influences, and what is observed of them."""

    true: list[float]
    observed: list[float]


def normal(rng: random.Random) -> float:
    return rng.gauss(0, 1)


def laplace(rng: random.Random) -> float:
    """Noise with tails that fall off as e^-|x|."""
    return rng.choice((-1, 1)) * rng.expovariate(1)


def student(rng: random.Random) -> float:
    """Student's t with 3 degrees of freedom: tails that fall off as |x|^-4."""
    return rng.gauss(0, 1) / math.sqrt(rng.gammavariate(1.5, 1 / 1.5))


def _signed(value: float, sign: int) -> float:
    return sign * abs(value) if sign else value


def made_up(
    seed: int, *, sequences: int, share: float = 0.0, size: float = 0.0, noise: Noise = normal, sign: int = 1
) -> MadeUp:
    """Return influences of which a ``share`` is half-normal, of ``size`` and a sign (0: of either), the others 0."""
    rng = random.Random(seed)
    true = [_signed(rng.gauss(0, size), sign) if rng.random() < share else 0.0 for _ in range(sequences)]
    return MadeUp(true=true, observed=[value + noise(rng) for value in true])
