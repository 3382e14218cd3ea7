"""A causal language model with tracked layers: one forward and backward pass from tokens to traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from whence_backends.contract import LayerSpec
from whence_backends.ekfac.batch import TokenBatch
from whence_backends.ekfac.head import Targets
from whence_backends.ekfac.rotary import rotary_bounds
from whence_backends.ekfac.split import split
from whence_backends.ekfac.trace import TraceConsumer, Tracer, TrackedLayer


class TrackedLanguageModel:
    """A Hugging Face causal language model, frozen, which yields the traces of its tracked layers.

    The model must be causal and independent of padding on the right, like decoder-only language models. ``body`` is the
    model up to the input of its ``head``. Sequences separated by ``rotary_bounds`` must not share a batch
    (:func:`~whence_backends.batching.apart`).
    """

    def __init__(self, model: nn.Module, layers: Sequence[TrackedLayer]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.layers = tuple(layers)
        self.specs: tuple[LayerSpec, ...] = tuple(layer.spec for layer in layers)
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.body, self.head = split(model)
        self.rotary_bounds = rotary_bounds(model.config)

    @property
    def config(self) -> Any:  # noqa: ANN401 - transformers' configurations have no common type
        """The model's Hugging Face configuration."""
        return self.model.config

    def trace(self, batch: TokenBatch, targets: Targets, consume: TraceConsumer) -> Tensor:
        """Run forward and backward, pass each layer's (a, s) to ``consume``, and return log p of each label.

        ``targets`` holds the batch's valid positions in row-major order. The result is float64 [B, T], 0 where not
        valid. Output gradients are those of Σ weights · log p(label).
        """
        (B, T), rows = batch.inputs.shape, batch.valid.reshape(-1).nonzero().squeeze(1)
        log_probabilities = batch.weights.new_zeros(batch.weights.numel())
        if len(rows):
            with torch.enable_grad(), Tracer(self.layers, (B, T), consume):
                hidden = self.body(batch.inputs)
                flat = hidden.detach().reshape(-1, hidden.shape[-1])
                everywhere = len(rows) == len(flat)
                pulled = self.head.pull_back(flat if everywhere else flat[rows], targets)
                gradient = (
                    pulled.gradient if everywhere else torch.zeros_like(flat).index_copy_(0, rows, pulled.gradient)
                )
                if hidden.requires_grad:  # otherwise no tracked layer takes part
                    torch.autograd.backward(hidden, gradient.view_as(hidden))
            log_probabilities[rows] = pulled.log_probabilities.to(log_probabilities.dtype)
        return log_probabilities.view(batch.weights.shape)

    def parameters(self) -> list[Tensor]:
        """Return the model's parameters."""
        return list(self.model.parameters())

    def data_targets(self, batch: TokenBatch) -> Targets:
        """Return the targets of the data: the next tokens."""
        return Targets(weights=batch.weights[batch.valid], labels=batch.labels[batch.valid])

    def sampled_targets(self, batch: TokenBatch, uniforms: Tensor) -> Targets:
        """Return targets that are drawn from the model's distribution with ``uniforms`` [B, T]."""
        return Targets(weights=batch.weights[batch.valid], uniforms=uniforms.to(self.device)[batch.valid])
