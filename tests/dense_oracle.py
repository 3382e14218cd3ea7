"""The dense float64 oracle: EK-FAC by its definition, one sequence at a time, gradients by autograd on the weights.

Nothing here shares code with the engine or the fit, except the numbers that sampled labels are drawn with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whence_backends.contract import LayerSpec, TokenSequence


@dataclass(kw_only=True)
class DenseFactors:
    A: Tensor
    S: Tensor
    Q_A: Tensor
    Q_S: Tensor
    Lambda: Tensor

    def solve(self, gradient: Tensor, damping_factor: float) -> Tensor:
        """Return (F + λI)⁻¹ G with F the dense [P, P] matrix, P = D_out·D_in, by a linear solve."""
        Q = torch.kron(self.Q_S, self.Q_A)
        F = Q @ torch.diag(self.Lambda.reshape(-1)) @ Q.T
        damping = damping_factor * self.Lambda.mean()
        solved = torch.linalg.solve(F + damping * torch.eye(len(F), dtype=F.dtype), gradient.reshape(-1))
        return solved.view_as(gradient)


class DenseOracle:
    """Gradients and factors of a Hugging Face model's layers, by definition."""

    def __init__(self, model: nn.Module, layers: Sequence[LayerSpec]) -> None:
        self.model = model.double().requires_grad_(True)
        self.layers = layers
        self.modules: list[Any] = [model.get_submodule(layer.name) for layer in layers]

    def gradient(self, sequence: TokenSequence, labels: Tensor | None = None) -> list[Tensor]:
        """Return G [D_out, D_in] of each layer: ∂ Σ weight · log p / ∂ (weight | bias), by autograd."""
        value = self._value(sequence, labels)
        parameters = [parameter for module in self.modules for parameter in self._parameters(module)]
        gradients = iter(torch.autograd.grad(value, parameters))
        return [self._packed(module, gradients) for module in self.modules]

    def log_likelihood(self, sequence: TokenSequence) -> float:
        return float(self._value(sequence, None).detach())

    def sampled_labels(self, sequence: TokenSequence, uniforms: Tensor) -> Tensor:
        """Draw each position's label from the model's distribution by inverting its cumulative sum at ``uniforms``."""
        inputs = torch.tensor(sequence.token_ids[:-1]).long().unsqueeze(0)
        with torch.no_grad():
            p = torch.softmax(self.model(input_ids=inputs).logits[0].double(), dim=-1)
        return torch.tensor([int((p[t].cumsum(0) <= uniforms[t]).sum()) for t in range(len(p))])

    def factors(self, sequences: Sequence[TokenSequence], labels: Sequence[Tensor | None]) -> list[DenseFactors]:
        """Return every layer's factors: A and S over valid tokens, Λ over sequences."""
        return self.basis(sequences, labels, sequences, labels)

    def basis(
        self,
        sequences: Sequence[TokenSequence],
        labels: Sequence[Tensor | None],
        lambda_sequences: Sequence[TokenSequence],
        lambda_labels: Sequence[Tensor | None],
    ) -> list[DenseFactors]:
        """The same, with Λ on labels of its own."""
        traces = [self._trace(sequence, label) for sequence, label in zip(sequences, labels, strict=True)]
        gradients = [self.gradient(s, label) for s, label in zip(lambda_sequences, lambda_labels, strict=True)]
        found = []
        for index in range(len(self.layers)):
            a = torch.cat([trace[index][0] for trace in traces])
            s = torch.cat([trace[index][1] for trace in traces])
            A, S = a.T @ a / len(a), s.T @ s / len(s)
            Q_A, Q_S = torch.linalg.eigh(A).eigenvectors, torch.linalg.eigh(S).eigenvectors
            Lambda = torch.stack([(Q_S.T @ g[index] @ Q_A) ** 2 for g in gradients]).mean(0)
            found.append(DenseFactors(A=A, S=S, Q_A=Q_A, Q_S=Q_S, Lambda=Lambda))
        return found

    def _trace(self, sequence: TokenSequence, labels: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Return each layer's (ā, s) at the valid positions of one sequence."""
        kept: dict[int, list[Tensor]] = {}
        handles = []
        for index, module in enumerate(self.modules):

            def hook(_module: nn.Module, inputs: Any, output: Tensor, index: int = index) -> None:
                output.retain_grad()
                kept[index] = [inputs[0].detach()[0], output]

            handles.append(module.register_forward_hook(hook))
        self._value(sequence, labels).backward()
        for handle in handles:
            handle.remove()
        self.model.zero_grad()
        valid = torch.tensor(sequence.weights[1:]) != 0
        return [self._valid(kept[index], module, valid) for index, module in enumerate(self.modules)]

    def _valid(self, kept: list[Tensor], module: Any, valid: Tensor) -> tuple[Tensor, Tensor]:
        a, output = kept
        if module.bias is not None:
            a = torch.cat([a, torch.ones(len(a), 1, dtype=a.dtype)], dim=1)
        assert output.grad is not None
        return a[valid], output.grad[0][valid]

    def _value(self, sequence: TokenSequence, labels: Tensor | None) -> Tensor:
        tokens = torch.tensor(sequence.token_ids).long()
        weights = torch.tensor(sequence.weights[1:]).double()
        logits = self.model(input_ids=tokens[:-1].unsqueeze(0), use_cache=False).logits[0]
        chosen = tokens[1:] if labels is None else labels
        log_p = torch.log_softmax(logits, dim=-1).gather(1, chosen.unsqueeze(1)).squeeze(1)
        return (weights * log_p).sum()

    def _parameters(self, module: Any) -> list[nn.Parameter]:
        return [module.weight] if module.bias is None else [module.weight, module.bias]

    def _packed(self, module: Any, gradients: Any) -> Tensor:
        weight = next(gradients)
        if type(module).__name__ == "Conv1D":
            weight = weight.T
        return weight if module.bias is None else torch.cat([weight, next(gradients).unsqueeze(1)], dim=1)
