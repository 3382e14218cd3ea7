"""The layers that a request's patterns select."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason

# Patterns of layers, each of which is matched with every layer's name, and the longest one that is matched at all.
MAX_PATTERNS: Final = 100

LONGEST_PATTERN: Final = 256


def choose_layers(patterns: Sequence[str], names: Sequence[str], field: str) -> tuple[int, ...]:
    """Return the indices of the layers that any pattern matches, in order; none where all are matched.

    A pattern is a name, or has ``*``, ``?`` and ``[...]`` as file names do; ``field`` is where the request has them.
    Raises :class:`~whence.errors.InvalidRequestError`: ``UNKNOWN_LAYER`` for a pattern that matches no layer, and
    ``TOO_MANY_LAYERS`` for more than ``MAX_PATTERNS`` patterns that are not names.
    """
    chosen: set[int] = set()
    held = {name: index for index, name in enumerate(names)}
    wild = [number for number, pattern in enumerate(patterns) if pattern not in held]
    if len(wild) > MAX_PATTERNS:
        raise InvalidRequestError(
            f"{len(wild)} of the layers asked for are patterns; at most {MAX_PATTERNS} are taken: use wider ones",
            reason=Reason.TOO_MANY_LAYERS,
            field=field,
            max_patterns=MAX_PATTERNS,
        )
    for number in wild:
        matched = _matching(patterns[number], names)
        if not matched:
            raise _unknown_layer(patterns[number], names, f"{field}[{number}]")
        chosen |= matched
    chosen.update(held[pattern] for pattern in patterns if pattern in held)
    return () if len(chosen) == len(names) else tuple(sorted(chosen))


def _matching(pattern: str, names: Sequence[str]) -> set[int]:
    if len(pattern) > LONGEST_PATTERN:
        return set()
    return {index for index, name in enumerate(names) if fnmatchcase(name, pattern)}


def _unknown_layer(pattern: str, names: Sequence[str], field: str) -> InvalidRequestError:
    shown = pattern[:LONGEST_PATTERN]
    near = get_close_matches(shown, names, n=3, cutoff=0.3) or names[:3]
    return InvalidRequestError(
        f"{shown!r} is no layer of this model and no pattern of one; its {len(names)} layers have names such "
        f"as {', '.join(near)} (GetModel lists them)",
        reason=Reason.UNKNOWN_LAYER,
        field=field,
    )
