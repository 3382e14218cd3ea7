"""What an installation asks for, as its metadata says it."""

from __future__ import annotations

from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed_by(name: str, *extras: str) -> list[Distribution]:
    """Return a distribution with these extras and all that it needs, each of them once."""
    needed: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        name, extra = at
        needed[canonicalize_name(name)] = distribution(name)
        for requirement in map(Requirement, needed[canonicalize_name(name)].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(requirement.name, wanted) for wanted in ("", *requirement.extras)]
    return list(needed.values())
