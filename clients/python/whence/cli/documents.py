"""What ``--json`` prints: the results as plain data. Keys are those of the results and do not change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from whence.models import Model
from whence.results import Attribution, Explanation, GroupInfluences, ScoreTable, SelfInfluences


def attribution(result: Attribution) -> dict[str, Any]:
    """Return everything in the answer."""
    return dataclasses.asdict(result)


def group_influences(result: GroupInfluences) -> dict[str, Any]:
    """Return everything in the answer."""
    return dataclasses.asdict(result)


def self_influences(result: SelfInfluences) -> dict[str, Any]:
    """Return everything in the answer."""
    return dataclasses.asdict(result)


def scores(table: ScoreTable) -> dict[str, Any]:
    """Return everything in the answer; ``influence`` is indexed by query, then by sequence."""
    return dataclasses.asdict(table)


def explanation(result: Explanation) -> dict[str, Any]:
    """Return everything in the answer; ``parts`` is indexed by layer, then by token."""
    return dataclasses.asdict(result)


def models(served: Iterable[Model]) -> dict[str, Any]:
    """Return the served models under ``models``."""
    return {"models": [model(one) for one in served]}


def model(served: Model) -> dict[str, Any]:
    """Return everything about a model, its computed properties included."""
    return {
        **dataclasses.asdict(served),
        "attributed_share": served.attributed_share,
        "uncovered_shards": list(served.uncovered_shards),
    }
