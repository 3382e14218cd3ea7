"""What the page shows before the first question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from whence.bulk.files import invalid_row, read_rows
from whence.bulk.rows import QueryRow, query_rows

EXAMPLES: Final = 12


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Questions to begin with, and whether the first answer is explained step by step.

    An example is what the page's address holds of it: ``{"prompt": …, "completion": …}`` or ``{"messages": […]}``, and
    options such as ``"search"``.
    """

    examples: Sequence[Mapping[str, Any]] = ()
    guide: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return both as the page reads them."""
        return {"examples": [dict(example) for example in self.examples], "guide": self.guide}


EMPTY: Final = Beginning()


def read_examples(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the first :data:`EXAMPLES` queries of a file, in any format of ``whence attribute --queries``.

    Raises ``InvalidRequestError`` for a file that cannot be read and for a row that is no text and no conversation.
    """
    return tuple(map(_example, islice(query_rows(read_rows(path)), EXAMPLES)))


def _example(row: QueryRow) -> dict[str, Any]:
    if row.error is not None:
        raise row.error
    assert row.query is not None, "a row without an error has a query"
    fields = row.query.to_dict()
    asked: dict[str, Any] = {name: fields[name] for name in ("prompt", "completion", "messages") if name in fields}
    if not asked:
        raise invalid_row(row.number, "has token ids: the page begins with texts and conversations", "examples")
    return asked
