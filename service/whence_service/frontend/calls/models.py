"""The served models, in pages: pure functions of the placement."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_service_pb2, model_pb2
from whence_service.frontend.request.limits import RequestLimits
from whence_service.frontend.workers.placement import Generation, Placement

_DEFAULT_PAGE: Final = 50
_MAX_PAGE: Final = 1000


def list_models(
    placement: Placement, limits: RequestLimits, page_size: int, page_token: str
) -> attribution_service_pb2.ListModelsResponse:
    """Return one page of the known models by name.

    A token names the last model of the previous page, so that changes between two pages neither repeat nor hide others.
    Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_PAGE_TOKEN``).
    """
    after = _decode(page_token)
    size = min(page_size, _MAX_PAGE) if page_size > 0 else _DEFAULT_PAGE
    names = sorted(name for name in placement.models if name > after)
    page = names[:size]
    return attribution_service_pb2.ListModelsResponse(
        models=[describe_model(placement.find(name), limits) for name in page],
        next_page_token=_encode(page[-1]) if len(names) > size else "",
    )


def describe_model(generation: Generation, limits: RequestLimits) -> model_pb2.Model:
    """Return a model as clients see it: as workers describe it, with this server's limits and its shards."""
    model = model_pb2.Model()
    model.CopyFrom(generation.model)
    model.engine = ", ".join(generation.engines)
    model.limits.MergeFrom(
        model_pb2.Limits(
            max_top_k=limits.max_top_k,
            max_queries=min(limits.max_queries, model.limits.max_queries or limits.max_queries),
            max_score_sequences=limits.max_score_sequences,
            max_batch_queries=min(limits.max_queries, model.limits.max_batch_queries or limits.max_queries),
        )
    )
    del model.shards[:]
    model.shards.extend(
        model_pb2.ShardStatus(shard=shard, replicas=len(workers)) for shard, workers in generation.shards.items()
    )
    return model


def _encode(name: str) -> str:
    return base64.urlsafe_b64encode(b"\x01" + name.encode()).decode()


def _decode(token: str) -> str:
    if not token:
        return ""
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
        if data[:1] != b"\x01":
            raise ValueError("another version")
        return data[1:].decode()
    except (ValueError, binascii.Error) as error:
        raise InvalidRequestError(
            "page_token is not one that this server gave; start again without it",
            reason=Reason.INVALID_PAGE_TOKEN,
            field="page_token",
        ) from error
