"""A queue that is fair between tenants, however many items each of them has in it.

Start-time fair queueing (Goyal, Vin and Cheng 1997) with costs that are charged once they are known: the next item is
of the tenant that has had least, and a tenant's own items keep their order. Who comes back after a while begins where
the others are: nobody saves up, and nobody owes for times when nobody else was there. With one tenant, or with none, it
is a queue in order of arrival.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")

# Of more tenants than this, the half that had least so far is forgotten: they begin anew.
_REMEMBERED: Final = 1000


class FairQueue(Generic[_Item]):
    """Items of tenants. Costs are in any one unit, such as seconds of service.

    State: each tenant's items with their numbers of arrival; what it has had; ``_level``, which is what the tenant
    served last had had when its turn came. The owner sees to it that one thread at a time is in it.
    """

    def __init__(self) -> None:
        self._items: dict[str, deque[tuple[int, _Item]]] = {}
        self._used: dict[str, float] = {}
        self._level = 0.0
        self._length = 0
        self._arrivals = itertools.count()

    def __repr__(self) -> str:
        return f"<FairQueue { ({tenant: len(items) for tenant, items in self._items.items()}) }>"

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[_Item]:
        return (item for items in list(self._items.values()) for _, item in list(items))

    def push(self, tenant: str, item: _Item) -> None:
        """Append an item."""
        self._items.setdefault(tenant, deque()).append((next(self._arrivals), item))
        self._length += 1

    def pop(self, may: Callable[[str], bool] = lambda _: True) -> tuple[str, _Item] | None:
        """Remove and return the next item with its tenant, of tenants that ``may`` have a turn; None: there is none."""
        able = [tenant for tenant in self._items if may(tenant)]
        if not able:
            return None
        tenant = min(able, key=lambda name: (self._start(name), self._items[name][0][0]))
        _, item = self._items[tenant].popleft()
        self._shrink(tenant)
        return tenant, item

    def remove(self, tenant: str, item: _Item) -> bool:
        """Remove an item; False where it is no longer there."""
        items = self._items.get(tenant, ())
        entry = next((entry for entry in items if entry[1] is item), None)
        if entry is None:
            return False
        self._items[tenant].remove(entry)
        self._shrink(tenant)
        return True

    def displace(self, newcomer: str) -> _Item | None:
        """Remove and return the last item of the tenant with the most, if it has more than ``newcomer`` would have."""
        longest = max(self._items, key=self.count, default=newcomer)
        if self.count(longest) <= self.count(newcomer) + 1:
            return None
        _, item = self._items[longest].pop()
        self._shrink(longest)
        return item

    def count(self, tenant: str) -> int:
        """Return the number of a tenant's items."""
        return len(self._items.get(tenant, ()))

    def ahead_of(self, newcomer: str) -> int:
        """Return the number of items whose turn is before that of a new one of ``newcomer``, if all cost the same."""
        own = self.count(newcomer)
        others = (len(items) for tenant, items in self._items.items() if tenant != newcomer)
        return own + sum(min(count, own + 1) for count in others)

    def begin(self, tenant: str, cost: float = 0.0) -> None:
        """Count that service of a tenant begins, and what it will probably cost."""
        self._level = self._start(tenant)
        self._used[tenant] = self._level + cost
        if len(self._used) > _REMEMBERED:
            self._used = dict(heapq.nlargest(_REMEMBERED // 2, self._used.items(), key=lambda entry: entry[1]))

    def charge(self, tenant: str, cost: float) -> None:
        """Add to what a tenant has had. Negative: it has had less than was thought."""
        self._used[tenant] = self._used.get(tenant, self._level) + cost

    def _start(self, tenant: str) -> float:
        return max(self._level, self._used.get(tenant, 0.0))

    def _shrink(self, tenant: str) -> None:
        self._length -= 1
        if not self._items[tenant]:
            del self._items[tenant]
