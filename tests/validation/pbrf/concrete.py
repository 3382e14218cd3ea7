"""The Concrete case of Grosse et al. 2023 (App. C): the strength of concrete by two tanh layers of 128 units."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).parent / "data" / "concrete.csv"


@dataclass(frozen=True, kw_only=True, eq=False)
class Concrete:
    """The data in parts of 70, 20 and 10 %, standardized by the first: x [n, 8], y [n, 1], float64."""

    training: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def load_concrete(seed: int = 0) -> Concrete:
    table = np.loadtxt(DATA, delimiter=",", skiprows=1)
    table = table[np.random.default_rng(seed).permutation(len(table))]
    ends = round(0.7 * len(table)), round(0.9 * len(table))
    first = table[: ends[0]]
    table = torch.tensor((table - first.mean(0)) / first.std(0))
    parts = [(part[:, :-1], part[:, -1:]) for part in torch.tensor_split(table, ends)]
    return Concrete(training=parts[0], validation=parts[1], test=parts[2])


def train_concrete(
    data: Concrete,
    *,
    width: int = 128,
    hidden: int = 2,
    epochs: int = 500,
    rate: float = 0.1,
    decay: float = 1e-5,
    seed: int = 0,
) -> nn.Sequential:
    """Train by plain SGD in batches of 128; the rate, the decay and the epochs do well on the validation part."""
    torch.manual_seed(seed)
    widths = [8] + [width] * hidden
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.Tanh())]
    net = nn.Sequential(*layers, nn.Linear(width, 1))
    x, y = (part.float() for part in data.training)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, weight_decay=decay)
    for _ in range(epochs):
        for places in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            ((net(x[places]) - y[places]).square().mean() / 2).backward()
            optimizer.step()
    return net.double().requires_grad_(False)


def mean_squared_error(net: nn.Module, part: tuple[Tensor, Tensor]) -> float:
    return float((net(part[0]) - part[1]).square().mean())
