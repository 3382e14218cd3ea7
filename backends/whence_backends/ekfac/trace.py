"""Traces: the inputs and output gradients of tracked linear layers during one forward and backward pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from whence.errors import UnimplementedError
from whence.reasons import Reason
from whence_backends.contract import LayerSpec

# Called with a layer's index, its inputs a [B, T, D_in] and its output gradients s [B, T, D_out].
TraceConsumer = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedLayer:
    """A tracked linear layer. The module is an ``nn.Linear`` or GPT-2's ``Conv1D``."""

    spec: LayerSpec
    module: nn.Module


def linear_spec(name: str, module: nn.Module) -> LayerSpec | None:
    """Return the spec of a linear layer, or ``None`` for another module.

    ``Conv1D`` (GPT-2) stores its weight as [D_in, D_out]; its inputs and outputs are those of a linear layer.
    """
    bias = getattr(module, "bias", None) is not None
    if isinstance(module, nn.Linear):
        d_out, d_in = module.weight.shape
    elif type(module).__name__ == "Conv1D" and isinstance(getattr(module, "nf", None), int):
        d_in, d_out = module.weight.shape  # type: ignore[misc]
    else:
        return None
    return LayerSpec(name=name, d_in=int(d_in) + int(bias), d_out=int(d_out), bias=bias)


class Tracer:
    """A context that passes each tracked layer's trace to a consumer, once per backward pass.

    A trace is passed on as soon as the backward pass has reached the layer, so that at most the inputs of all layers
    and the gradients of one are held at a time. The uses of a module that is used several times in a pass are
    concatenated along ``T``: their gradients add up, like autograd's.

    ``shape`` is (B, T) of the pass. A layer may read its tokens as one long row, [B·T, D_in]. Any other arrangement is
    refused, since its rows cannot be assigned to sequences.

    The parameters must not require gradients: no weight gradient is ever computed by autograd.
    """

    def __init__(self, layers: Sequence[TrackedLayer], shape: tuple[int, int], consume: TraceConsumer) -> None:
        self._layers = layers
        self._shape = shape
        self._consume = consume
        self._uses: dict[int, _Uses] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Tracer:
        for index, layer in enumerate(self._layers):
            hook = self._forward_hook(index, layer.spec.bias)
            self._handles.append(layer.module.register_forward_hook(hook))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if error is None:
            self._hand_over_the_rest()
        self._uses.clear()

    def _hand_over_the_rest(self) -> None:
        """Pass on the layers of which some use took no part in the measurement; its gradient is zero."""
        for index, uses in list(self._uses.items()):
            if uses.gradients:
                like = next(iter(uses.gradients.values()))
                for use in range(len(uses.inputs)):
                    uses.gradients.setdefault(use, torch.zeros_like(like))
                self._hand_over(index)

    def _forward_hook(self, index: int, bias: bool) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            unknown = arrangement(inputs[0], output, self._shape)
            if unknown is not None:
                names = [layer.spec.name for layer in self._layers]
                raise not_by_sequence(names, {names[index]: unknown})
            a = by_sequence(inputs[0].detach(), self._shape)
            assert a is not None
            if not output.requires_grad:
                # The first tracked layers: nothing below them requires a gradient. Not a leaf, since some models change
                # their outputs in place, which a leaf forbids.
                with torch.enable_grad():  # some models disable it for parts
                    output = output + torch.zeros((), dtype=output.dtype, device=output.device, requires_grad=True)
            uses = self._uses.setdefault(index, _Uses())
            use = uses.opened(with_bias(a) if bias else a)
            output.register_hook(partial(self._close, index, use))  # type: ignore[no-untyped-call]
            return output

        return hook

    def _close(self, index: int, use: int, gradient: Tensor) -> None:
        uses = self._uses[index]
        uses.gradients[use] = gradient.detach().reshape(*self._shape, -1)
        if len(uses.gradients) == len(uses.inputs):
            self._hand_over(index)

    def _hand_over(self, index: int) -> None:
        uses = self._uses.pop(index)
        gradients = [uses.gradients[use] for use in range(len(uses.inputs))]
        a = uses.inputs[0] if len(gradients) == 1 else torch.cat(uses.inputs, dim=1)
        s = gradients[0] if len(gradients) == 1 else torch.cat(gradients, dim=1)
        self._consume(index, a, s)


class _Uses:
    """The uses of one module in the current pass: all inputs, and the gradients so far."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self.gradients: dict[int, Tensor] = {}

    def opened(self, a: Tensor) -> int:
        self.inputs.append(a)
        return len(self.inputs) - 1


def by_sequence(x: Tensor, shape: tuple[int, int]) -> Tensor | None:
    """Return rows [B, T, D] or [B·T, D] as [B, T, D], with ``shape`` (B, T); ``None`` for any other arrangement."""
    B, T = shape
    leading = tuple(x.shape[:-1])
    if leading == (B, T):
        return x
    return x.reshape(B, T, x.shape[-1]) if leading in ((B * T,), (1, B * T)) else None


def arrangement(a: Tensor, output: Any, shape: tuple[int, int]) -> str | None:  # noqa: ANN401 - whatever it gives
    """Return ``None`` if the rows of a layer can be assigned to sequences, otherwise a description of the fault."""
    if not isinstance(output, Tensor):
        return f"gives a {type(output).__name__} instead of a tensor"
    if by_sequence(a, shape) is None or a.shape[:-1] != output.shape[:-1]:
        return f"turns an input of shape {list(a.shape)} into {list(output.shape)}"
    return None


def not_by_sequence(names: Sequence[str], wrong: Mapping[str, str]) -> UnimplementedError:
    """Return the error for the layers ``wrong``, which map names to faults from :func:`arrangement`."""
    name, behaviour = next(iter(wrong.items()))
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return UnimplementedError(
        f"layer {name}{more} {behaviour}; expected [sequences, tokens, width], or all tokens in one row: it sees only "
        "some tokens (an expert of a mixture) or parts of them (attention heads apart), so that its rows have no known "
        f"sequence; {leaving_out(names, list(wrong))}",
        reason=Reason.UNSUPPORTED_LAYER,
        field="layers",
        layer=name,
    )


def leaving_out(names: Sequence[str], unwanted: Sequence[str]) -> str:
    """Return advice for tracking ``names`` without those ``unwanted`` and others of their kinds.

    Two layers are of one kind if their paths differ only in numbers.
    """
    kinds = {_kind(name) for name in names} - {_kind(name) for name in unwanted}
    if not kinds:
        return "choose other layers: none of these can be attributed"
    return f"leave it out: --layers '^({'|'.join(sorted(kinds))})$'"


def _kind(name: str) -> str:
    return re.sub(r"\d+", r"\\d+", re.escape(name))


def with_bias(a: Tensor) -> Tensor:
    """Return ā = [a; 1], the inputs of a layer with a bias."""
    return torch.cat([a, a.new_ones(*a.shape[:-1], 1)], dim=-1)
