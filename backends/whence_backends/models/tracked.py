"""The tracked layers of a model, and the share of its parameters that they cover."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.ekfac.trace import TrackedLayer, linear_spec
from whence_backends.models.shape import is_within, towers_of

MLP: Final = "mlp"
ALL_LINEAR: Final = "all-linear"
# The MLP modules of the common architectures (Llama, Qwen, Mistral, GPT-2, NeoX, Falcon, OPT, Phi, BLOOM, MPT).
_MLP_PATH: Final = re.compile(r"(^|\.)(mlp|feed_forward|ffn|fc1|fc2|block_sparse_moe)(\.|$)")


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The coverage of the tracked layers: all parameters, and those not attributed by kind of module."""

    parameters: int
    attributed: int
    unattributed: dict[str, int]

    @property
    def share(self) -> float:
        """The share of parameters in tracked layers."""
        return self.attributed / max(1, self.parameters)


def track(model: Any, selection: str) -> list[TrackedLayer]:  # noqa: ANN401 - transformers' models have no common type
    """Return the tracked layers: ``mlp`` (as in the paper), ``all-linear``, or a regular expression on module paths.

    The output layer is never tracked: its output is as wide as the vocabulary, and it is often tied to the embedding.
    Neither are vision and audio towers, which text does not pass through.

    Raises :class:`~whence.errors.InvalidRequestError` if no layer matches, with a list of the linear layers.
    """
    output, towers = model.get_output_embeddings(), towers_of(model)
    linear = {
        name: TrackedLayer(spec=spec, module=module)
        for name, module in model.named_modules()
        if module is not output and not is_within(name, towers) and (spec := linear_spec(name, module)) is not None
    }
    wanted = _predicate(selection)
    chosen = [layer for name, layer in linear.items() if wanted.search(name)]
    if not chosen:
        kinds = sorted({re.sub(r"\d+", "N", name) for name in linear})
        raise InvalidRequestError(
            f"no linear layer matches {selection!r}{_experts(model)}; expected 'mlp', 'all-linear' or a regular "
            f"expression that matches some of: {', '.join(kinds)}. --layers all-linear tracks them all",
            reason=Reason.LAYERS_NOT_FOUND,
            field="layers",
        )
    return chosen


def _experts(model: nn.Module) -> str:
    """Return a remark if the model has stacked experts, which are not linear layers."""
    stacked = [name for name, parameter in model.named_parameters() if "experts" in name and parameter.dim() == 3]
    return f" (the experts of a mixture, such as {stacked[0]}, cannot be attributed yet)" if stacked else ""


def coverage(model: nn.Module, layers: list[TrackedLayer]) -> Coverage:
    """Count attributed and other parameters. Tied parameters count once, those of vision and audio towers never."""
    tracked = {id(parameter) for layer in layers for parameter in layer.module.parameters(recurse=False)}
    towers = towers_of(model)
    total = attributed = 0
    left: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if is_within(name, towers):
            continue
        total += parameter.numel()
        if id(parameter) in tracked:
            attributed += parameter.numel()
        else:
            left[_kind(name)] += parameter.numel()
    return Coverage(parameters=total, attributed=attributed, unattributed=dict(sorted(left.items())))


def _predicate(selection: str) -> re.Pattern[str]:
    if selection == MLP:
        return _MLP_PATH
    try:
        return re.compile("" if selection == ALL_LINEAR else selection)
    except re.error as error:
        raise InvalidRequestError(
            f"{selection!r} is not a regular expression ({error}); expected 'mlp', 'all-linear' or one",
            reason=Reason.INVALID_LAYER_PATTERN,
            field="layers",
        ) from error


def _kind(name: str) -> str:
    """Return a parameter's kind: its path without layer numbers and without ``weight`` or ``bias``."""
    path = re.sub(r"\.(weight|bias)$", "", name)
    return re.sub(r"\.\d+\.", ".*.", path)
