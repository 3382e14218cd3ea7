"""The plan of a validation as JSON: what is in ``plan.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.validation.plan import Plan, PlanConfig, Removal, Run, RunKind

PLAN_FORMAT: Final = "whence.validation-plan/1"


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON: masks are hexadecimal, with the first document in the first bit."""
    config = plan.config
    return {
        "format": PLAN_FORMAT,
        "corpus_digest": plan.corpus_digest,
        "queries_digest": plan.queries_digest,
        "config": {**vars(config), "without": list(config.without)},
        "documents": list(plan.documents),
        "documents_of": {name: np.packbits(mask).tobytes().hex() for name, mask in plan.documents_of.items()},
        "runs": [{**vars(run), "kind": run.kind.value} for run in plan.runs],
        **({"removals": [vars(removal) for removal in plan.removals]} if plan.removals else {}),
    }


def from_json(document: Mapping[str, Any]) -> Plan:
    """Return the plan of :func:`to_json`. Raises :class:`~whence.errors.InvalidRequestError` for anything else."""
    try:
        return _parse(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidRequestError(
            f"this is no plan of a validation in the format {PLAN_FORMAT} ({error!r}); make it anew with "
            "`whence validate plan`",
            reason=Reason.INVALID_PLAN,
            field="plan",
        ) from error


def _parse(document: Mapping[str, Any]) -> Plan:
    if document["format"] != PLAN_FORMAT:
        raise ValueError(f"its format is {document['format']!r}")
    config, total = document["config"], len(document["documents"])
    plan = Plan(
        corpus_digest=document["corpus_digest"],
        queries_digest=document["queries_digest"],
        documents=tuple(document["documents"]),
        config=PlanConfig(**{**config, "without": tuple(config["without"])}),
        runs=tuple(Run(**{**run, "kind": RunKind(run["kind"])}) for run in document["runs"]),
        documents_of={name: _mask(packed, total) for name, packed in document["documents_of"].items()},
        removals=tuple(Removal(**removal) for removal in document.get("removals", ())),
    )
    named = {run.name for run in plan.runs} | {removal.name for removal in plan.removals}
    if missing := sorted(named - set(plan.documents_of)):
        raise ValueError(f"no documents for {', '.join(missing)}")
    return plan


def _mask(packed: str, total: int) -> NDArray[np.bool_]:
    data = np.frombuffer(bytes.fromhex(packed), np.uint8)
    if len(data) != -(-total // 8):
        raise ValueError(f"a mask of {len(data)} bytes for {total} documents")
    return np.unpackbits(data, count=total).astype(bool)
