"""Splitting a language model before its output layer into body and head, if it can be split.

The split saves memory because the head's gradient has a closed form, computed in row chunks. It is correct only if
logits are a linear map of the last hidden state. This is tested by behaviour: the model's own head is run on chosen
hidden states of all magnitudes, and must give the result of the output layer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.ekfac.head import Head

# Largest logits in the test of the head: a soft cap, or any other bound that matters, shows at one of them.
_LOGIT_RANGE: Final = (1e-2, 1.0, 1e2, 1e4)
_PROBE_TOKENS: Final = 8
# The tolerance between the whole model and its two halves: rounding.
_SAME: Final = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


class Body:
    """The model up to the input of its head. With ``whole`` the full model runs: its output is logits."""

    def __init__(self, model: nn.Module, whole: bool) -> None:
        self._model = model
        self._whole = whole

    def __call__(self, token_ids: Tensor, **arguments: Tensor) -> Tensor:
        """Return the hidden states (or logits) of tokens [B, T]; ``arguments`` are the model's own."""
        output = self._model(input_ids=token_ids, use_cache=False, **arguments)
        hidden: Tensor = output.logits if self._whole else output.last_hidden_state
        return hidden


def split(model: Any) -> tuple[Body, Head]:  # noqa: ANN401 - transformers' models have no common type
    """Return the model as body and linear head, or whole with an identity head.

    Models whose logits are not a linear map of the last hidden state (soft caps, scales, a transform) stay whole.

    Raises :class:`~whence.errors.InvalidRequestError` (``MODEL_NOT_RUNNABLE``) if the model does not turn tokens
    into logits.
    """
    output = model.get_output_embeddings()
    base = getattr(model, model.base_model_prefix or "model", None)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    probe = torch.arange(_PROBE_TOKENS, device=next(model.parameters()).device).mul(7919).remainder(vocabulary)
    with torch.no_grad():
        expected = _logits(model, probe.unsqueeze(0))
        if isinstance(output, nn.Linear) and isinstance(base, nn.Module) and base is not model:
            body, head = Body(base, whole=False), Head(output.weight, output.bias)
            if _is_cut_there(body, head, probe.unsqueeze(0), expected) and _is_linear(model, base, head, probe):
                return body, head
    return Body(model, whole=True), Head(None, None)


def _logits(model: Any, token_ids: Tensor) -> Tensor:  # noqa: ANN401
    try:
        logits: Tensor = model(input_ids=token_ids, use_cache=False).logits
    except Exception as error:  # the model's own code may raise anything
        reason = str(error).strip().split("\n")[0][:300]
        raise InvalidRequestError(
            f"the model does not turn tokens into logits: {type(error).__name__}: {reason}; expected a decoder-only "
            "language model that reads token ids alone",
            reason=Reason.MODEL_NOT_RUNNABLE,
            field="model",
        ) from error
    return logits


def _is_cut_there(body: Body, head: Head, token_ids: Tensor, expected: Tensor) -> bool:
    """Return true if body and head give the model's logits on tokens."""
    try:
        got = head.logits(body(token_ids))
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False  # a body with other inputs or outputs
    return got.shape == expected.shape and _close(got, expected, _SAME[expected.dtype])


def _is_linear(model: Any, base: nn.Module, head: Head, probe: Tensor) -> bool:  # noqa: ANN401
    """Return true if the model's own head equals the output layer on hidden states of all magnitudes."""
    weight = head.weight
    assert weight is not None
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(1, len(probe), weight.shape[1], generator=generator).to(weight)
    size = (direction @ weight.T).abs().amax().clamp_min(torch.finfo(weight.dtype).tiny)
    for largest in _LOGIT_RANGE:
        hidden = direction * (largest / size)
        with _replaced_output(base, hidden):
            got = model(input_ids=probe.unsqueeze(0), use_cache=False).logits
        expected = head.logits(hidden)
        if not bool(torch.isfinite(expected).all()):  # beyond the range of a short float
            continue
        if got.shape != expected.shape or not _close(got, expected, 4 * torch.finfo(weight.dtype).eps):
            return False
    return True


def _close(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Compare relative to each row's largest value; values that are not finite must be equal."""
    scale = torch.where(expected.isfinite(), expected.abs(), 0).amax(dim=-1, keepdim=True)
    difference = torch.where(got == expected, 0, (got - expected).abs())
    return bool((difference <= tolerance * scale).all())


@contextmanager
def _replaced_output(base: nn.Module, hidden: Tensor) -> Iterator[None]:
    """Make ``base`` return ``hidden`` instead of its own last hidden state."""

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:  # noqa: ANN401 - whatever the model gives
        if isinstance(output, tuple):
            return (hidden, *output[1:])
        output.last_hidden_state = hidden
        return output

    handle = base.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
