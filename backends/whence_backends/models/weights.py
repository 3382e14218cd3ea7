"""Checks that a loaded model is its checkpoint: no parameter missing, no tensor left over, all values finite.

transformers initializes missing parameters with random numbers and ignores tensors that it has no parameter for. Either
makes another model than the one named, and the former a different one each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from whence.errors import InvalidRequestError, MismatchError
from whence.reasons import Reason
from whence_backends.models.files import shortened, stored_shape
from whence_backends.models.source import ModelSource

# Buffers that older versions of transformers saved and newer ones compute: position tables, and masks, which have four
# dimensions where a bias has one. Also the heads of BERT-like models for other tasks than language modelling.
_TABLE: Final = re.compile(
    r"(^|\.)(inv_freq|(cos|sin)_cached|position_ids|embed_positions(\.weights)?|masked_bias|causal_mask)$"
)
_MASK: Final = re.compile(r"(^|\.)(attn|attention)\.bias$")
_OTHER_TASK: Final = re.compile(r"(^|\.)(pooler|seq_relationship)\.")


def require_same_keys(model: Any, report: Mapping[str, Any], source: ModelSource) -> None:  # noqa: ANN401
    """Refuse a model with missing parameters, tensors left over, or shapes that differ from its checkpoint's.

    ``report`` is that of ``from_pretrained(..., output_loading_info=True)``, which omits most of what a class computes
    itself (tied weights, rotary tables) or ignores (masks that older versions saved). Raises
    :class:`~whence.errors.MismatchError` with reason ``WEIGHTS_MISMATCH``.
    """
    reference = source.reference
    missing, unknown = sorted(report["missing_keys"]), list(_without_a_place(report["unexpected_keys"], source))
    shapes = [f"{name} {list(got)} for {list(want)}" for name, got, want in sorted(report["mismatched_keys"])]
    untied = [f"{name} and {other}" for name, other in _untied(model)]
    causes = [
        _cause(missing, "lacks {}, which would be random numbers"),
        _cause(shapes, "has other shapes than its configuration says: {}"),
        _cause(unknown, "has {}, for which the model has no place"),
        _cause(untied, "has different weights for {}, which its configuration says are the same"),
    ]
    if any(causes):
        raise MismatchError(
            f"{reference} is not whole: the checkpoint {', and it '.join(cause for cause in causes if cause)}. "
            f"{_advice(missing, unknown, untied)}",
            reason=Reason.WEIGHTS_MISMATCH,
            model=reference,
        )


def require_as_large(model: nn.Module, stored: int, reference: str) -> None:
    """Refuse a model of which the checkpoint holds less than half, before memory is allocated for the rest.

    ``model`` is on the meta device. Raises :class:`~whence.errors.MismatchError` (``WEIGHTS_MISMATCH``).
    """
    expected = sum(parameter.numel() for parameter in model.parameters())
    if expected > 2 * stored:
        raise MismatchError(
            f"{reference} is not whole: its configuration describes {expected:,} parameters, and its files hold "
            f"{stored:,}. Put the configuration beside the weights that it was saved with",
            reason=Reason.WEIGHTS_MISMATCH,
            model=reference,
        )


def require_finite(model: nn.Module, reference: str, precision: str) -> None:
    """Refuse a model with a NaN or infinite value in a parameter or buffer. Each is read once, without a copy.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``INVALID_WEIGHTS``.
    """
    broken = [name for name, tensor in _tensors(model) if not _is_finite(tensor)]
    if broken:
        raise InvalidRequestError(
            f"{reference} has weights that are NaN or infinite in {precision}: {shortened(broken)}. Download it again, "
            "or, if they are too large for this precision, choose another",
            reason=Reason.INVALID_WEIGHTS,
            field="model",
        )


def _without_a_place(unexpected: Iterable[str], source: ModelSource) -> Iterator[str]:
    """Yield the tensors of a checkpoint whose loss matters."""
    for name in sorted(unexpected):
        if _TABLE.search(name) or _OTHER_TASK.search(name):
            continue
        if not (_MASK.search(name) and source.kind == "folder" and len(stored_shape(source.path, name)) == 4):
            yield name


def _untied(model: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield the pairs of parameters that the configuration ties and the checkpoint does not."""
    for target, source in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        if model.get_parameter_or_buffer(target) is not model.get_parameter_or_buffer(source):
            yield source, target


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _is_finite(tensor: Tensor) -> bool:
    """Return true if all values are finite; the extrema of a tensor with NaN are NaN."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(tensor.detach()))


def _cause(names: list[str], sentence: str) -> str:
    return sentence.format(shortened(names)) if names else ""


def _advice(missing: list[str], unknown: list[str], untied: list[str]) -> str:
    if any("lora_" in name or "base_layer" in name for name in unknown):
        return "It was saved with an adapter inside: merge it (peft: merge_and_unload) and save it again"
    if missing == ["lm_head.weight"] and not unknown:
        return 'If the embeddings are its head too, write "tie_word_embeddings": true into its config.json'
    if untied and not missing:
        return 'Write "tie_word_embeddings": false into its config.json if both were trained'
    return "Save the whole model, as it was trained for text, with save_pretrained, or download it again"
