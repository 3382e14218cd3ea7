"""Rankings: of one output, of a batch, of sequences that influence themselves, and while they are made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, overload

from whence._json import finite
from whence.display import summaries
from whence.results.answers import VERSION, Answer, Plain, check_version, unreadable
from whence.results.sequences import Hit, misplaced

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of a query's influences, in nats, estimated from those of ``sequences`` sequences.

    ``scale`` would be its standard deviation if it were normal; ``degrees_of_freedom`` say how heavy its tails are,
    those of a Student t distribution, from 1 (very) to 50 (normal). ``positive_threshold`` and ``negative_threshold``
    are the smallest sizes of influences that are told from it, None where none is. ``positive_significant`` and
    ``negative_significant`` are the numbers of these sequences whose influence is told from noise; there may be more
    where not all were scored. After a search of candidates, ``sampled`` of the sequences were scored for the noise
    alone; 0 says that every sequence that was searched was scored.
    """

    scale: float
    degrees_of_freedom: float
    positive_threshold: float | None
    negative_threshold: float | None
    sequences: int
    positive_significant: float
    negative_significant: float
    sampled: int = 0


@dataclass(frozen=True, kw_only=True)
class Recall:
    """The estimated recall of a ranking.

    ``recall`` is the expected share, from 0 to 1, of the truly most influential sequences of the whole corpus that the
    ranking has. Unreachable shards are taken to be like the others. ``margin`` is the distance of the last hit from the
    cut, in standard deviations of the index's error: the larger, the safer. It is None where there is no cut, too
    little data to estimate it, or an unreachable shard. ``reranked`` of ``candidates`` were scored exactly; if fewer,
    either no more were needed (``stopped_early``), or the deadline came first.
    """

    recall: float
    margin: float | None
    candidates: int
    reranked: int
    stopped_early: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Attribution(Answer):
    """The training sequences that an output came from. Iteration yields the positive hits, then the negative ones.

    ``log_likelihood`` is that of the completion, in nats, over its ``completion_tokens`` tokens. ``positive_recall``
    and ``negative_recall`` estimate the recall of the rankings; they are None after a full scan, which finds
    everything, and after a search of the index alone. ``truncation_error`` is the expected relative error of an
    influence due to the bounded rank of the query's gradient: 0 where it was kept whole. The first
    ``positive_significant`` positive hits and ``negative_significant`` negative ones are told from ``noise``; all three
    are None where that is unknown: after a search of the index alone, with fewer than 20 influences, or without a
    sample (``noise_sample``).
    """

    kind: ClassVar[str] = "attribution"

    query_id: str
    query_key: str
    log_likelihood: float
    completion_tokens: int
    positive: tuple[Hit, ...]
    negative: tuple[Hit, ...]
    positive_recall: Recall | None = None
    negative_recall: Recall | None = None
    truncation_error: float = 0.0
    noise: Noise | None = None
    positive_significant: int | None = None
    negative_significant: int | None = None

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The positive hits, most influential first, then the negative ones, most negative first."""
        return self.positive + self.negative

    def contradictions(self) -> Iterator[str]:
        """Yield tokens that are not in their texts."""
        for hit in self.hits:
            yield from misplaced(hit.tokens, hit.text)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def to_pandas(self, *, layers: bool = False) -> pd.DataFrame:
        """Return a row for each hit, with a column for each layer if ``layers``. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.hits([self], layers=layers)

    def to_arrow(self) -> pa.Table:
        """Return a row for each hit, with all its parts. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.hits([self])

    def plot_layers(self) -> Figure:
        """Return a plot of the influence of the first hits by depth of the model. Needs ``whence[notebook]``."""
        from whence.display import plots

        return plots.layers(self)

    def plot_tokens(self, rank: int = 1) -> Figure:
        """Return a plot of a hit's influence by token; ``rank`` counts all hits from 1. Needs ``whence[notebook]``."""
        from whence.display import plots

        return plots.tokens(self, rank)

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Hit, ...]: ...

    def __getitem__(self, place: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[place]

    def __repr__(self) -> str:
        return summaries.attribution(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.attribution(self)


class Attributions(tuple[Attribution, ...]):
    """The rankings of a batch, in the order of its queries: a tuple that is also one table."""

    __slots__ = ()

    def to_pandas(self, *, layers: bool = False) -> pd.DataFrame:
        """Return a row for each hit of all queries, as :meth:`Attribution.to_pandas` does."""
        from whence import dataframes

        return dataframes.hits(self, layers=layers)

    def to_arrow(self) -> pa.Table:
        """Return a row for each hit of all queries; one without a rank for a query without hits."""
        from whence import arrow

        return arrow.hits(self)

    kind: ClassVar[str] = "attributions"

    def to_dict(self) -> dict[str, Any]:
        """Return all rankings, under ``attributions``."""
        rankings = [attribution.to_dict() for attribution in self]
        return {"kind": self.kind, "version": VERSION, "attributions": rankings}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Attributions:
        """Return the rankings that :meth:`to_dict` made this of. Raises what :meth:`Attribution.from_dict` raises."""
        check_version(document, cls.kind)
        rankings = document.get("attributions")
        if not isinstance(rankings, list):
            raise unreadable(cls.kind, "it has no list of attributions")
        return cls(Attribution.from_dict(ranking) for ranking in rankings)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return all rankings as JSON."""
        return json.dumps(finite(self.to_dict()), indent=indent, allow_nan=False)

    def __repr__(self) -> str:
        return summaries.attributions(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.attributions(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class SelfInfluences(Answer):
    """The training sequences with the largest self-influence: outliers, and memorized sequences.

    The ``influence`` of a hit is the first-order effect of its presence on its own log-likelihood, in nats.
    """

    kind: ClassVar[str] = "self_influences"

    hits: tuple[Hit, ...]

    def contradictions(self) -> Iterator[str]:
        """Yield tokens that are not in their texts."""
        for hit in self.hits:
            yield from misplaced(hit.tokens, hit.text)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each hit. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.own_hits(self.hits)

    def to_arrow(self) -> pa.Table:
        """Return a row for each hit. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.own_hits(self.hits)

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Hit, ...]: ...

    def __getitem__(self, place: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[place]

    def __repr__(self) -> str:
        return summaries.self_influences(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.self_influences(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class Progress(Plain):
    """The progress of a scan or a re-ranking, with the ranking of the sequences scored so far, without their texts."""

    sequences_scored: int
    sequences_total: int
    positive: tuple[Hit, ...]
    negative: tuple[Hit, ...]

    @property
    def share(self) -> float:
        """The share of the sequences that was scored, from 0 to 1."""
        return self.sequences_scored / self.sequences_total if self.sequences_total else 0.0

    def __repr__(self) -> str:
        return summaries.progress(self)
