"""From messages to results. A message that contradicts itself raises ``InternalError`` (``INVALID_ANSWER``)."""

from whence.parsing.models import model
from whence.parsing.responses import (
    attribution,
    attributions,
    event,
    explanation,
    group_influences,
    score_table,
    self_influences,
    text_overlaps,
)

__all__ = [
    "attribution",
    "attributions",
    "event",
    "explanation",
    "group_influences",
    "model",
    "score_table",
    "self_influences",
    "text_overlaps",
]
