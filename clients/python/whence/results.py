"""Answers of the service. Influences are in nats: first-order effects of training sequences, estimates, no promises.

:mod:`whence.parsing` makes these values from messages.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from whence._json import finite
from whence.certificates import NONE, CertificateSummary
from whence.display import summaries

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure


class Plain:
    """A result as plain data."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, by name; results in them are dictionaries too."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]  # subclasses are data classes

    def to_json(self, *, indent: int | None = None) -> str:
        """Return all fields as JSON. NaN and infinities, which JSON lacks, are null."""
        return json.dumps(finite(self.to_dict()), indent=indent, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The artefacts behind an answer: digests of the model, its EK-FAC factors, the corpus and the index, if any.

    Influences are divided by ``training_set_size``. ``training_set_source`` names its origin: the ``corpus``, an option
    of the ``fit``, or a setting of the ``worker``. ``certificate`` says how true the model's influences were measured
    to be, or that they were not.
    """

    model: str
    model_digest: str
    factors_digest: str
    corpus_digest: str
    damping_factor: float
    training_set_size: int
    engine: str
    index_digest: str = ""
    attributed_layers: tuple[str, ...] = ()
    training_set_source: str = ""
    gradient_error: float | None = None
    certificate: CertificateSummary = NONE


@dataclass(frozen=True, kw_only=True)
class AnswerWarning:
    """A warning about a complete answer. ``code`` is a :class:`whence.reasons.WarningCode`, and stable."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer(Plain):
    """The fields of every answer.

    ``timings`` are wall seconds by stage. ``sequences_scored`` training sequences were scored exactly, and
    ``sequences_searched`` compared with the index. ``layers`` are the tracked layers, in the order of all values by
    layer. ``search`` names the search that found the hits; it is empty where there was none. A partial answer covers
    ``corpus_share`` of the corpus, all but its ``unreachable_shards``.
    """

    request_id: str
    provenance: Provenance
    timings: dict[str, float]
    warnings: tuple[AnswerWarning, ...]
    sequences_scored: int
    influence_unit: str
    layers: tuple[str, ...]
    search: str = ""
    sequences_searched: int = 0
    unreachable_shards: tuple[str, ...] = ()
    corpus_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TokenInfluence:
    """A token's part of an influence. Its text is the sequence's from character ``start`` to ``end``."""

    text: str
    start: int
    end: int
    influence: float


@dataclass(frozen=True, kw_only=True)
class TrainingSequence(Plain):
    """A sequence of the training corpus. ``metadata`` has every other column of the corpus."""

    sequence_id: str
    document_id: str
    source: str
    text: str
    metadata: dict[str, Any]
    token_count: int


@dataclass(frozen=True, kw_only=True, repr=False)
class Hit(TrainingSequence):
    """A training sequence in a ranking.

    ``influence`` is the effect of the sequence's presence in the training set on the output's log-likelihood, to first
    order, in nats: an estimate, whose size depends on the damping factor. ``raw_influence`` is the same before the
    division by the size of the training set. The parts of the layers sum to ``influence``, and so do those of the
    tokens. Both are None unless requested.

    ``signal`` is the influence times the chance that it is more than noise, 2 · significance − 1.
    ``significance`` is the probability that the true influence has the sign of the observed one; from 0.95 a hit is
    told from noise. Both are None where the noise is unknown; see :class:`Noise`.
    """

    rank: int
    influence: float
    raw_influence: float
    layer_influence: dict[str, float] | None
    tokens: tuple[TokenInfluence, ...] | None
    signal: float | None = None
    significance: float | None = None

    def __repr__(self) -> str:
        return summaries.hit(self)


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

    def to_dict(self) -> dict[str, Any]:
        """Return all rankings, under ``attributions``."""
        return {"attributions": [attribution.to_dict() for attribution in self]}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return all rankings as JSON."""
        return json.dumps(finite(self.to_dict()), indent=indent, allow_nan=False)

    def __repr__(self) -> str:
        return summaries.attributions(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.attributions(self)


@dataclass(frozen=True, kw_only=True)
class GroupInfluence:
    """The influence of a group of training sequences: the first-order effect of their presence in the training set.

    ``name`` is a source, a document's id or a value of metadata, as :class:`whence.Filter` takes it.

    ``signal`` is the sum of the signals of the group's sequences, without their noise, and ``signal_low`` to
    ``signal_high`` an interval of 95 % for what is lost without the group (docs/truth.md has what was measured).
    ``signal_high`` is ``None`` where the group has half of the query's positive signal or more: without it a multiple
    of the sum may be lost. All three are ``None`` where fewer than 20 influences are known.

    ``influence`` is the sum of influences with their noise, an estimate, nearly unbiased for groups of more than a few
    sequences, and ``standard_error`` its standard deviation over samples, which says nothing of retraining: 0 where all
    sequences of the group were scored. ``sampled`` of its ``sequences`` were.
    """

    name: str
    sequences: int
    influence: float
    standard_error: float
    sampled: int
    signal: float | None = None
    signal_low: float | None = None
    signal_high: float | None = None

    @property
    def effect(self) -> float:
        """The signal, or the influence where that is not known: what groups are ordered by."""
        return self.influence if self.signal is None else self.signal


@dataclass(frozen=True, kw_only=True, repr=False)
class GroupInfluences(Answer):
    """The influence of each group of training sequences on an output, most positive signal first, and of all of them.

    Where the grouping value is a list, a sequence is in a group for each item, and once in ``total``.
    """

    groups: tuple[GroupInfluence, ...]
    total: GroupInfluence
    log_likelihood: float

    def __iter__(self) -> Iterator[GroupInfluence]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each group, named by its index. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.groups(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each group. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.groups(self)

    def __getitem__(self, group: int | str) -> GroupInfluence:
        """Return a group by its place or its name. Raises ``KeyError`` for a name that none has."""
        if isinstance(group, int):
            return self.groups[group]
        named = {known.name: known for known in self.groups}
        return named[group]

    def __repr__(self) -> str:
        return summaries.group_influences(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.group_influences(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class SelfInfluences(Answer):
    """The training sequences with the largest self-influence: outliers, and memorized sequences.

    The ``influence`` of a hit is the first-order effect of its presence on its own log-likelihood, in nats.
    """

    hits: tuple[Hit, ...]

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


@dataclass(frozen=True, kw_only=True, repr=False)
class ScoreTable(Answer):
    """The influence of given training sequences on given queries.

    ``influence[query][sequence]`` and, if requested, ``layer_influence[query][sequence][layer]`` are in the order of
    the request. ``log_likelihood`` has a value for each query, in nats.
    """

    query_ids: tuple[str, ...]
    sequences: tuple[TrainingSequence, ...]
    influence: tuple[tuple[float, ...], ...]
    layer_influence: tuple[tuple[tuple[float, ...], ...], ...] | None
    log_likelihood: tuple[float, ...]

    @property
    def sequence_names(self) -> list[str]:
        """The ids of the sequences, or ``text 1``, ``text 2``, … for those without one."""
        numbers = itertools.count(1)
        return [sequence.sequence_id or f"text {next(numbers)}" for sequence in self.sequences]

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each query and a column for each sequence. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.scores(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each query and sequence. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.scores(self)

    def __repr__(self) -> str:
        return summaries.scores(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.scores(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class Explanation(Answer):
    """The influence of a training sequence on a query. ``parts[layer][token]`` sum to ``influence``.

    ``tokens`` are the parts summed over layers, ``layer_influence`` the parts summed over tokens.
    """

    sequence: TrainingSequence
    influence: float
    log_likelihood: float
    parts: tuple[tuple[float, ...], ...]
    tokens: tuple[TokenInfluence, ...]
    layer_influence: dict[str, float]

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each layer and a column for each token. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.parts(self)

    def to_arrow(self) -> pa.Table:
        """Return a row for each layer and token. Needs ``whence[parquet]``."""
        from whence import arrow

        return arrow.parts(self)

    def plot(self) -> Figure:
        """Return a map of the influence by layer and token. Needs ``whence[notebook]``."""
        from whence.display import plots

        return plots.explanation(self)

    def __repr__(self) -> str:
        return summaries.explanation(self)

    def _repr_html_(self) -> str:
        from whence.display import html

        return html.explanation(self)
