"""What is known of a query's influences after a search of candidates: those of the candidates and of a sample. Pure.

The sample is drawn from all sequences. Those drawn that are no candidates stand for all that are none. Where an index
chose the candidates, large influences are known (:mod:`whence_service.frontend.search.selection`), and the sample has
the scale of the others. Where shared tokens did, no size is known as a whole; candidates and sample are then taken as
they are, which makes the noise too large rather than too small: candidates have larger influences than others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from whence_service.frontend.search.candidates import Candidate, Candidates, distinct_positions
from whence_service.frontend.search.selection import Estimates, estimates_of, selection_of
from whence_service.shrinkage.distribution import Distribution, merge
from whence_service.shrinkage.partial import LargeInfluences, SampledInfluences

# The most sequences that a candidate stands for.
_MOST: Final = 10.0


def sampled_influences(
    exact: Mapping[int, float],
    candidates: Candidates,
    opposite: Sequence[Candidate],
    drawn: Sequence[int],
    searched: int,
    *,
    estimates: bool,
) -> SampledInfluences | None:
    """Return the known influences of a query; ``None`` where its estimates do not tell which influences are.

    ``exact`` has the influences of the candidates that were scored, of the ``opposite`` ones (candidates of a direction
    that was not asked for), and of those ``drawn`` from the ``searched`` sequences. With ``estimates``, candidates are
    those of an index.
    """
    proposed = distinct_positions([candidates]) & exact.keys()
    chosen = proposed.union(candidate.position for candidate in opposite)
    others = [position for position in sorted(set(drawn)) if position not in chosen]
    known = [*sorted(chosen), *others]
    whole = len(known) >= searched
    large = None
    if estimates and not whole:
        large = _large(exact, candidates, opposite)
        if large is None:
            return None
    weight = (searched - len(chosen)) / len(others) if others else 1.0
    return SampledInfluences(
        known=Distribution.of(exact[position] for position in known),
        weighted=merge(
            (
                Distribution.of(exact[position] for position in sorted(chosen)),
                Distribution.of((exact[position] for position in others), weight),
            )
        ),
        worth=searched**2 / (len(chosen) + weight**2 * len(others)),  # Kish 1965: (Σ weight)² / Σ weight²
        large=large,
        sampled=0 if whole else len(known) - len(proposed),
    )


def _large(
    exact: Mapping[int, float], candidates: Candidates, opposite: Sequence[Candidate]
) -> tuple[LargeInfluences, LargeInfluences] | None:
    """Return the large influences of each sign. The opposite ranking is too short to fit its estimates by itself."""
    asked = {sign: ranking for sign, ranking in ((1, candidates.positive), (-1, candidates.negative)) if ranking}
    fitted = {sign: estimates_of(ranking, exact, sign) for sign, ranking in asked.items()}
    sides = [_of_sign(exact, asked.get(sign, opposite), fitted.get(sign, fitted.get(-sign)), sign) for sign in (1, -1)]
    positive, negative = sides
    return None if positive is None or negative is None else (positive, negative)


def _of_sign(
    exact: Mapping[int, float], ranking: Sequence[Candidate], estimates: Estimates | None, sign: int
) -> LargeInfluences | None:
    selection = None if estimates is None else selection_of(ranking, exact, estimates, sign)
    least = None if selection is None else selection.least()
    if selection is None or least is None:
        return None
    sizes = sorted(sign * exact[position] for position in selection.positions)
    weighted = (
        Distribution.of([size], min(_MOST, 1 / max(selection.chance(size), 1 / _MOST))) for size in sizes if size > 0
    )
    return LargeInfluences(least=least, distribution=merge(weighted))
