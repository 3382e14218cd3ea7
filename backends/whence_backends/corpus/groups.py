"""Groupings: the groups of a shard's sequences by source, by document or by a metadata field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Int32Array
from whence_backends.corpus.shard import Shard
from whence_backends.corpus.values import name_of, values

_COLUMNS: Final = {"source": "source", "document": "document_id"}
_METADATA: Final = "metadata."


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupedRows:
    """The groups of each row. A row whose value is a list belongs to one group per item.

    ``names`` are the distinct sets of groups, each sorted, in order; ``groups`` int32 [sequences] is the index in
    ``names`` of each row's set.
    """

    names: tuple[tuple[str, ...], ...]
    groups: Int32Array


def group_rows(shard: Shard, group_by: str) -> GroupedRows:
    """Return the groups of a shard's rows by ``source``, ``document`` or ``metadata.NAME``.

    A group of metadata has the name that :func:`.values.name_of` gives its value; sequences without a value are in the
    group with the empty name. Raises :class:`~whence.errors.InvalidRequestError` (``UNKNOWN_GROUPING``) for anything
    else.
    """
    if group_by in _COLUMNS:
        encoded = shard.column(_COLUMNS[group_by]).combine_chunks().dictionary_encode()
        return _in_order([(name,) for name in encoded.dictionary.to_pylist()], encoded.indices.to_numpy())
    if not group_by.startswith(_METADATA):
        raise InvalidRequestError(
            f"group_by is {group_by!r}; it must be source, document or metadata.NAME, such as metadata.year",
            reason=Reason.UNKNOWN_GROUPING,
            field="group_by",
        )
    name = group_by.removeprefix(_METADATA)

    def names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(sorted({name_of(value) for value in values(metadata, name)}))

    of_each = shard.each_metadata(names)
    place = {names: number for number, names in enumerate(dict.fromkeys(of_each))}
    return _in_order(list(place), np.array([place[names] for names in of_each], np.int32))


def _in_order(names: list[tuple[str, ...]], groups: Int32Array) -> GroupedRows:
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int32)
    place[order] = np.arange(len(names), dtype=np.int32)
    return GroupedRows(names=tuple(names[number] for number in order), groups=place[groups])
