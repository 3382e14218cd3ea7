"""A causal language model with tracked layers: one forward and backward pass from tokens to traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from whence_backends.contract import LayerSpec
from whence_backends.ekfac.batch import TokenBatch
from whence_backends.ekfac.head import Head, Targets
from whence_backends.ekfac.trace import TraceConsumer, Tracer, TrackedLayer


class TrackedLanguageModel:
    """A Hugging Face causal language model, frozen, whose tracked layers hand over their traces.

    The model must be causal and padding-blind on the right, as decoder-only language models are. ``body`` is the model
    up to what its ``head`` reads.
    """

    def __init__(self, model: nn.Module, layers: Sequence[TrackedLayer]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.layers = tuple(layers)
        self.specs: tuple[LayerSpec, ...] = tuple(layer.spec for layer in layers)
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.body, self.head = _split(model)

    @property
    def config(self) -> Any:  # noqa: ANN401 - transformers' configurations have no common type
        """The model's Hugging Face configuration."""
        return self.model.config

    def trace(self, batch: TokenBatch, targets: Targets, consume: TraceConsumer) -> Tensor:
        """Run forward and backward, hand each layer's (a, s) to ``consume``; return log p of each label.

        ``targets`` holds the batch's valid positions in row-major order. The result is float64 [B, T], 0 where not
        valid. Output gradients are those of Σ weights · log p(label).
        """
        rows = batch.valid.reshape(-1).nonzero().squeeze(1)
        log_probabilities = batch.weights.new_zeros(batch.weights.numel())
        if len(rows):
            with torch.enable_grad(), Tracer(self.layers, consume):
                hidden = self.body(batch.inputs)
                flat = hidden.detach().reshape(-1, hidden.shape[-1])
                everywhere = len(rows) == len(flat)
                pulled = self.head.pull_back(flat if everywhere else flat[rows], targets)
                gradient = (
                    pulled.gradient if everywhere else torch.zeros_like(flat).index_copy_(0, rows, pulled.gradient)
                )
                torch.autograd.backward(hidden, gradient.view_as(hidden))
            log_probabilities[rows] = pulled.log_probabilities.to(log_probabilities.dtype)
        return log_probabilities.view(batch.weights.shape)

    def data_targets(self, batch: TokenBatch) -> Targets:
        """Return the targets that the data has: the next tokens."""
        return Targets(weights=batch.weights[batch.valid], labels=batch.labels[batch.valid])

    def sampled_targets(self, batch: TokenBatch, uniforms: Tensor) -> Targets:
        """Return targets to be drawn from the model's own distribution with ``uniforms`` [B, T]."""
        return Targets(weights=batch.weights[batch.valid], uniforms=uniforms.to(self.device)[batch.valid])


class Body:
    """The model up to what its head reads. ``whole`` runs the full model: its output is logits."""

    def __init__(self, model: nn.Module, whole: bool) -> None:
        self._model = model
        self._whole = whole

    def __call__(self, token_ids: Tensor, **arguments: Tensor) -> Tensor:
        """Return the hidden states (or logits) of tokens [B, T]; ``arguments`` are the model's own."""
        output = self._model(input_ids=token_ids, use_cache=False, **arguments)
        hidden: Tensor = output.logits if self._whole else output.last_hidden_state
        return hidden


def _split(model: Any) -> tuple[Body, Head]:  # noqa: ANN401 - transformers' models have no common type
    """Split the model into body and linear head, having seen that together they give the model's own logits.

    Models whose logits are more than a linear map of the last hidden state (soft caps, scales) are kept whole.
    """
    output = model.get_output_embeddings()
    base = getattr(model, model.base_model_prefix, None)
    if isinstance(output, nn.Linear) and isinstance(base, nn.Module) and base is not model:
        body, head = Body(base, whole=False), Head(output.weight, output.bias)
        with torch.no_grad():
            probe = torch.arange(4, device=output.weight.device).remainder(output.weight.shape[0]).unsqueeze(0)
            expected = model(input_ids=probe, use_cache=False).logits
            got = head.logits(body(probe))
        if torch.allclose(got, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max())):
            return body, head
    return Body(model, whole=True), Head(None, None)
