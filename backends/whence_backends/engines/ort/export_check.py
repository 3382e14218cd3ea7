"""Checking that an exported graph computes the same here as where it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import SelfCheck
from whence_backends.models.exported import ExportCard

# The largest error that rounding explains in each precision: processors differ in their order of summation.
_BOUNDS: Final[Mapping[str, float]] = {"float64": 1e-4, "float32": 5e-3, "float16": 0.2}
# A norm that vanishes beside those of other layers is rounding.
_VANISHING: Final = 1e-5


def check_export(card: ExportCard, norms: Sequence[float]) -> SelfCheck:
    """Compare the gradient norms [L] of the probing sequences, computed here, with autograd's at the export.

    The error of the result is the larger of the export's own and the one measured here.

    Raises :class:`~whence.errors.InvalidRequestError` (``LAYER_GRADIENT_MISMATCH``) if rounding does not explain the
    difference: the graph, its weights or the device's arithmetic have changed.
    """
    assert card.self_check is not None
    want, got = np.asarray(card.probe_norms), np.asarray(norms)
    scale = np.maximum(want, _VANISHING * float(np.sqrt(np.square(want).mean())) + 1e-300)
    errors = np.abs(got - want) / scale
    worst = int(np.argmax(np.where(np.isfinite(errors), errors, np.inf)))
    check = SelfCheck(gradient_error=float(f"{errors[worst]:.1e}"), layer=card.layers[worst].name)
    if not errors[worst] <= _BOUNDS[card.precision]:
        raise InvalidRequestError(
            f"the export does not compute here what it computed where it was made: the gradient of {check.layer} has "
            f"the norm {got[worst]:.4g}, expected {want[worst]:.4g} to within {_BOUNDS[card.precision]:.0e}; copy the "
            "export again, try another provider (docs/engines.md), or export the model anew",
            reason=Reason.LAYER_GRADIENT_MISMATCH,
            field="model",
        )
    return max(check, card.self_check, key=lambda check: check.gradient_error)
