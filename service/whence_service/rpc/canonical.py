"""The bytes that stand for a query: in hashes that route it, and in the digest that names it in the audit log."""

from __future__ import annotations

from whence.v1 import query_pb2


def canonical_bytes(query: query_pb2.Query) -> bytes:
    """Return bytes that are equal for queries with the same input and measurement, whatever their label."""
    unlabelled = query_pb2.Query()
    unlabelled.CopyFrom(query)
    unlabelled.query_id = ""
    return unlabelled.SerializeToString(deterministic=True)
