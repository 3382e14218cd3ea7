"""What a request must be to be answered by this model: of its generation, its shards, its layers and its damping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whence.errors import InvalidRequestError, MismatchError, NotFoundError
from whence.reasons import Reason
from whence.v1 import model_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.worker.scoring.preconditioning import Preconditioning
from whence_service.rpc.bounds import LEAST_DAMPING, MOST_DAMPING

_DIGESTS: Final = ("model_digest", "factors_digest", "corpus_digest", "index_digest")


def require_generation(model: model_pb2.Model, generation: worker_service_pb2.Generation) -> None:
    """Raise :class:`~whence.errors.MismatchError` unless the request is for the artefacts that are loaded."""
    for name in _DIGESTS:
        asked = getattr(generation, name)
        held = model.index.digest if name == "index_digest" else str(getattr(model, name))
        if asked != held:
            raise MismatchError(
                f"the request is for {name} {asked or 'none'}, but this worker holds {held or 'none'}; ask GetInfo "
                "again",
                reason=Reason.GENERATION_MISMATCH,
                what=name,
                asked=asked,
                held=held,
            )


def require_shards(names: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
    """Return the named shards without repetition; :class:`~whence.errors.NotFoundError` for one that is not held."""
    if not names:
        raise InvalidRequestError("no shard was named; name at least one", reason=Reason.MISSING_SHARDS, field="shards")
    for name in names:
        if name not in held:
            raise NotFoundError(
                f"this worker does not hold shard {name!r}; it holds {', '.join(held)}",
                reason=Reason.SHARD_NOT_FOUND,
                shard=name,
            )
    return tuple(dict.fromkeys(names))


def preconditioning_of(model: model_pb2.Model, requested: worker_service_pb2.Preconditioning) -> Preconditioning:
    """Return the preconditioning that was requested.

    Raises :class:`~whence.errors.InvalidRequestError` for a layer that the model does not have, or a damping factor
    that is out of range.
    """
    held = len(model.layers)
    for layer in requested.layers:
        if layer >= held:
            raise InvalidRequestError(
                f"layer {layer} was asked for; this model has {held}, counted from 0",
                reason=Reason.UNKNOWN_LAYER,
                field="preconditioning.layers",
            )
    layers = tuple(sorted(set(requested.layers)))
    return Preconditioning(
        damping_factor=_damping_factor(model, requested.damping_factor),
        layers=() if len(layers) == held else layers,
        rank=requested.rank,
    )


def _damping_factor(model: model_pb2.Model, requested: float) -> float:
    damping_factor = requested or model.default_damping_factor
    if not LEAST_DAMPING <= damping_factor <= MOST_DAMPING:
        raise InvalidRequestError(
            f"the damping factor is {requested}; expected a number from {LEAST_DAMPING:g} to "
            f"{MOST_DAMPING:g}, such as 0.1",
            reason=Reason.INVALID_DAMPING_FACTOR,
            field="preconditioning.damping_factor",
        )
    return damping_factor
