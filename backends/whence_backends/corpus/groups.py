"""Which group each sequence of a shard belongs to: its source, its document, or what its metadata says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from whence.errors import InvalidRequestError
from whence_backends.contract import Int32Array
from whence_backends.corpus.shard import Shard

_COLUMNS: Final = {"source": "source", "document": "document_id"}
_METADATA: Final = "metadata."


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupedRows:
    """The names of groups, sorted, and which of them each row is in: int32 [sequences]."""

    names: tuple[str, ...]
    groups: Int32Array


def group_rows(shard: Shard, group_by: str) -> GroupedRows:
    """Return the groups of a shard's rows by ``source``, ``document`` or ``metadata.NAME``.

    A value that is no text counts as its JSON; a sequence without one is in the group without a name. Raises
    :class:`~whence.errors.InvalidRequestError` (``UNKNOWN_GROUPING``) for anything else.
    """
    if group_by in _COLUMNS:
        values = shard.column(_COLUMNS[group_by])
    elif group_by.startswith(_METADATA):
        name = group_by.removeprefix(_METADATA)
        rows = (json.loads(row) for row in shard.column("metadata").to_pylist())
        values = pa.chunked_array([pa.array([_text(row.get(name)) for row in rows], pa.string())])
    else:
        raise InvalidRequestError(
            f"group_by is {group_by!r}; it must be source, document or metadata.NAME, such as metadata.year",
            reason="UNKNOWN_GROUPING",
            field="group_by",
        )
    encoded = values.combine_chunks().dictionary_encode()
    found = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(found)
    place = np.empty(len(found), np.int32)
    place[order] = np.arange(len(found), dtype=np.int32)
    return GroupedRows(names=tuple(found[order].tolist()), groups=place[encoded.indices.to_numpy()])


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
