"""The form of a line of the audit log. Pure. docs/audit.md describes each field."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from whence.v1 import attribution_pb2, attribution_service_pb2, query_pb2
from whence_service.rpc.canonical import canonical_bytes
from whence_service.rpc.message_parts import parts_of
from whence_service.rpc.records import CallRecord

# The codes of calls that were turned down, rather than begun and not finished.
_REFUSALS: Final = frozenset(
    {
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
    }
)


def audit_line(record: CallRecord, *, texts: bool) -> bytes:
    """Return the line of a call. With ``texts`` it has the whole request, otherwise digests of its queries."""
    facts = record.facts
    line: dict[str, Any] = {
        "event": "audit",
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "method": f"{record.service}/{record.method}",
        "decision": _decision(record.code),
        "code": record.code,
        "reason": str(record.reason),
        "duration_s": round(record.duration_s, 6),
    }
    if facts is not None:
        line |= {
            "time": datetime.fromtimestamp(facts.ended_at, UTC).isoformat(timespec="microseconds"),
            "peer": facts.peer,
            "subject": facts.caller.subject,
            "tenant": facts.caller.tenant,
            **asdict(facts.digests),
            **_asked(facts.request, texts=texts),
            "returned": list(facts.returned),
            "sequences_scored": facts.sequences_scored,
            "sequences_searched": facts.sequences_searched,
        }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def query_digest(query: query_pb2.Query) -> str:
    """Return the digest that names a query: equal for equal inputs and measurements, whatever their labels."""
    return "sha256:" + hashlib.sha256(canonical_bytes(query)).hexdigest()


def _decision(code: str) -> str:
    if code == "OK":
        return "allowed"
    return "refused" if code in _REFUSALS else "failed"


def _asked(request: Message | None, *, texts: bool) -> Mapping[str, object]:
    if request is None:
        return {"queries": [], "filters": [], "given_sequences": 0}
    conditions = {
        field.name for condition in parts_of(request, attribution_pb2.Filter) for field, _ in condition.ListFields()
    }
    asked: dict[str, object] = {
        "queries": [query_digest(query) for query in parts_of(request, query_pb2.Query)],
        "filters": sorted(conditions),
        "given_sequences": sum(1 for _ in parts_of(request, attribution_service_pb2.SequenceSelector)),
    }
    if texts:
        asked["request"] = MessageToDict(request, preserving_proto_field_name=True)
    return asked
