"""Values in memory, of which the least recently used make room for new ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentlyUsed(Generic[K, V]):
    """Keeps values of up to ``capacity_bytes`` altogether.

    State: the values in order of use, with their sizes. Owner: the event loop.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size_bytes = 0

    def __repr__(self) -> str:
        return f"{len(self._values)} values, {self._size_bytes}/{self._capacity_bytes} bytes"

    def get(self, key: K) -> V | None:
        """Return the value under ``key`` and make it the most recently used; ``None`` where there is none."""
        kept = self._values.get(key)
        if kept is None:
            return None
        self._values.move_to_end(key)
        return kept[0]

    def put(self, key: K, value: V, size_bytes: int) -> bool:
        """Keep the value, in place of the key's last one. Return false where it is larger than all that is kept."""
        self._drop(key)
        if size_bytes > self._capacity_bytes:
            return False
        self._values[key] = value, size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > self._capacity_bytes:
            self._drop(next(iter(self._values)))
        return True

    def clear(self) -> None:
        """Drop every value."""
        self._values.clear()
        self._size_bytes = 0

    def _drop(self, key: K) -> None:
        if key in self._values:
            self._size_bytes -= self._values.pop(key)[1]
