"""The measurement and its gradient with respect to the hidden states.

The vocabulary is the widest dimension of a language model. Log-probabilities and their gradient, onehot(y) - p, are
computed in closed form in row chunks, so that no [tokens, V] array outlives a chunk or enters autograd.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whence_backends.ekfac.budgets import LOGITS


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """The targets of the rows of a batch: labels int64 [N] (data) or uniforms float64 [N] (sample), weights [N].

    With ``uniforms`` the label of a row is drawn from the model's own distribution by inverting its cumulative sum at
    the given number in [0, 1): the same number gives the same label in every batch.
    """

    weights: Tensor
    labels: Tensor | None = None
    uniforms: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Pullback:
    """log p of each row's label float64 [N], and the gradient of Σ weights · log p at the rows [N, D]."""

    log_probabilities: Tensor
    gradient: Tensor


class Head:
    """The last map of the model, from hidden rows [N, D] to logits [N, V].

    ``weight`` [V, D] and ``bias`` [V] of the output layer, or no weight if the rows are logits already.
    """

    def __init__(self, weight: Tensor | None, bias: Tensor | None) -> None:
        self.weight = weight
        self.bias = bias

    def logits(self, rows: Tensor) -> Tensor:
        """Return the logits [N, V] of hidden rows [N, D]."""
        return rows if self.weight is None else torch.nn.functional.linear(rows, self.weight, self.bias)

    def pull_back(self, rows: Tensor, targets: Targets) -> Pullback:
        """Return the log-probabilities of the targets and the gradient of their weighted sum at ``rows``."""
        width = rows.shape[1] if self.weight is None else self.weight.shape[0]
        chunk = LOGITS.at_once(rows.device.type, width)
        log_probabilities, gradients = [], []
        for start in range(0, rows.shape[0], chunk):
            part = slice(start, start + chunk)
            log_p, gradient = self._chunk(rows[part], part, targets)
            log_probabilities.append(log_p)
            gradients.append(gradient)
        return Pullback(log_probabilities=torch.cat(log_probabilities), gradient=torch.cat(gradients))

    def _chunk(self, rows: Tensor, part: slice, targets: Targets) -> tuple[Tensor, Tensor]:
        logits = self.logits(rows)
        wide = logits if logits.dtype == torch.float64 else logits.float()
        p = torch.softmax(wide, dim=-1)
        labels = targets.labels[part] if targets.labels is not None else _sample(p, targets, part)
        index = labels.unsqueeze(1)
        log_p = label_log_probabilities(wide, p, index).squeeze(1).double()
        gradient = p.neg_()
        gradient.scatter_add_(1, index, torch.ones_like(index, dtype=p.dtype))
        gradient *= targets.weights[part].to(p.dtype).unsqueeze(1)
        gradient = gradient.to(rows.dtype)
        return log_p, gradient if self.weight is None else gradient @ self.weight


def label_log_probabilities(logits: Tensor, p: Tensor, index: Tensor) -> Tensor:
    """Return log p of the labels ``index`` [..., 1], from ``logits`` and their softmax ``p`` [..., V].

    Computed from the logit's distance to the largest one, whose p is at least 1/V, and so finite for every label.
    """
    return logits.gather(-1, index) - logits.amax(dim=-1, keepdim=True) + p.amax(dim=-1, keepdim=True).log()


def _sample(p: Tensor, targets: Targets, part: slice) -> Tensor:
    """Draw one label per row by inverting the cumulative distribution (far cheaper than ``torch.multinomial``).

    A uniform that rounds to 1 draws the last label of positive probability. A label of probability 0 is never drawn: if
    rounding of the sums selects one, the most probable label replaces it.
    """
    if targets.uniforms is None:
        raise ValueError("targets need labels or uniforms")
    cumulative = p.cumsum(dim=-1)
    total = cumulative[:, -1:]
    threshold = targets.uniforms[part].to(p.dtype).unsqueeze(1) * total
    threshold = torch.minimum(threshold, torch.nextafter(total, torch.zeros_like(total)))
    labels = torch.searchsorted(cumulative, threshold, right=True).clamp_(max=p.shape[1] - 1)
    return torch.where(p.gather(1, labels) > 0, labels, p.argmax(dim=1, keepdim=True)).squeeze(1)
