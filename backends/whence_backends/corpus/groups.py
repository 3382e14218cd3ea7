"""Which group each sequence of a shard belongs to: its source, its document, or what its metadata says."""

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
    """Which groups each row is in. A row whose metadata has a list is in a group for each item.

    ``names``: the sets of groups that rows are in, each sorted, in order; ``groups``: which set each row has, int32
    [sequences].
    """

    names: tuple[tuple[str, ...], ...]
    groups: Int32Array


def group_rows(shard: Shard, group_by: str) -> GroupedRows:
    """Return the groups of a shard's rows by ``source``, ``document`` or ``metadata.NAME``.

    A group of metadata is named as :func:`.values.name_of` names its value; sequences without one are in the group
    without a name. Raises :class:`~whence.errors.InvalidRequestError` (``UNKNOWN_GROUPING``) for anything else.
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
