"""AdamW with a learning rate that rises linearly and falls as a cosine."""

from __future__ import annotations

import math

import torch
from torch import nn


def adamw(
    model: nn.Module, *, peak_learning_rate: float, weight_decay: float, fused: bool = False
) -> torch.optim.AdamW:
    """Return the optimizer; matrices decay, vectors do not. ``fused`` changes the last bits of what is trained."""
    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=peak_learning_rate, betas=(0.9, 0.98), fused=fused or None)


def rise_and_fall(
    optimizer: torch.optim.Optimizer, *, steps: int, warmup_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the schedule of a training of so many steps."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, steps, warmup_steps))


def learning_rate(step: int, steps: int, warmup_steps: int) -> float:
    """Return the learning rate as a share of its peak: a linear rise, then a cosine down to a twentieth."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress))
