"""The options of a call that are counts or enumerations."""

from __future__ import annotations

from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_backends.contract import Detail
from whence_backends.topk import Order

_ORDERS: Final = {
    attribution_pb2.DIRECTION_UNSPECIFIED: (Order.HIGHEST,),
    attribution_pb2.DIRECTION_POSITIVE: (Order.HIGHEST,),
    attribution_pb2.DIRECTION_NEGATIVE: (Order.LOWEST,),
    attribution_pb2.DIRECTION_BOTH: (Order.HIGHEST, Order.LOWEST),
}
_DETAILS: Final = {
    worker_service_pb2.DETAIL_UNSPECIFIED: Detail.TOTAL,
    worker_service_pb2.DETAIL_TOTAL: Detail.TOTAL,
    worker_service_pb2.DETAIL_LAYERS: Detail.LAYERS,
    worker_service_pb2.DETAIL_LAYERS_TOKENS: Detail.LAYERS_TOKENS,
}


def count_of(value: int, field: str) -> int:
    """Return a number of sequences; :class:`~whence.errors.InvalidRequestError` where it is 0."""
    if value < 1:
        raise InvalidRequestError(
            f"{field} is 0; ask for at least 1 sequence", reason=Reason.INVALID_TOP_K, field=field
        )
    return value


def orders_of(direction: attribution_pb2.Direction.ValueType) -> tuple[Order, ...]:
    """Return the ends of the ranking that are wanted."""
    if direction not in _ORDERS:
        raise InvalidRequestError(
            f"direction {direction} is not known to this server; use DIRECTION_POSITIVE, "
            "DIRECTION_NEGATIVE or DIRECTION_BOTH",
            reason=Reason.UNKNOWN_DIRECTION,
            field="direction",
        )
    return _ORDERS[direction]


def detail_of(detail: worker_service_pb2.Detail.ValueType) -> Detail:
    """Return the parts that influences are split into."""
    if detail not in _DETAILS:
        raise InvalidRequestError(
            f"detail {detail} is not known to this server; use DETAIL_TOTAL, DETAIL_LAYERS or DETAIL_LAYERS_TOKENS",
            reason=Reason.UNKNOWN_DETAIL,
            field="detail",
        )
    return _DETAILS[detail]
