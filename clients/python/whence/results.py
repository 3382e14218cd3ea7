"""What the service answers, as frozen values. Influences are in nats per added copy of a training sequence.

Nothing here touches the network; :mod:`whence.parsing` makes these values from messages.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What an answer was computed from: digests name the model, its EK-FAC factors, the corpus and any index.

    Influences are divided by ``training_set_size``, which is from the ``corpus``, was given to the ``fit``, or is a
    setting of the ``worker``, as ``training_set_source`` says.
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


@dataclass(frozen=True, kw_only=True)
class AnswerWarning:
    """Something to know about an answer that is nonetheless whole. ``code`` is stable, UPPER_SNAKE_CASE."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What every answer says about itself.

    ``timings`` are wall seconds by stage; ``sequences_scored`` counts the training sequences scored exactly;
    ``layers`` are the tracked layers, in the order of every per-layer value. ``search`` says how hits were found
    (empty where nothing was searched for), ``sequences_searched`` how many were compared with the index.
    ``unreachable_shards`` are missing from an answer that may be partial, which covers ``corpus_share`` of the corpus.
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
    """One token's part of an influence; ``start`` and ``end`` are its characters in the sequence's text."""

    text: str
    start: int
    end: int
    influence: float


@dataclass(frozen=True, kw_only=True)
class TrainingSequence:
    """One sequence of the training corpus; ``metadata`` holds every other column of the corpus."""

    sequence_id: str
    document_id: str
    source: str
    text: str
    metadata: dict[str, Any]
    token_count: int


@dataclass(frozen=True, kw_only=True)
class Hit(TrainingSequence):
    """One training sequence in a ranking.

    ``influence`` is the change of the output's log-likelihood, in nats, for one more copy of the sequence in
    the training set; ``raw_influence`` is the same before the division by the size of the training set. The
    layers' parts sum to ``influence``, and so do the tokens'; each is None unless it was asked for.
    """

    rank: int
    influence: float
    raw_influence: float
    layer_influence: dict[str, float] | None
    tokens: tuple[TokenInfluence, ...] | None


@dataclass(frozen=True, kw_only=True)
class Recall:
    """How many of the truly most influential sequences a ranking is expected to have.

    ``recall`` is the expected share of those of the whole corpus, from 0 to 1; shards that could not be reached are
    taken to be like the others. ``margin`` is by how many standard deviations of the index's error the last hit would
    be above the cut: the larger, the safer; None where there is no cut, too little to judge it by, or a part that was
    not reached. ``reranked`` of ``candidates`` were scored exactly.
    """

    recall: float
    margin: float | None
    candidates: int
    reranked: int


@dataclass(frozen=True, kw_only=True)
class Attribution(Answer):
    """The training sequences that one output came from; iterating gives the positive hits, then the negative.

    ``log_likelihood`` is that of the completion, in nats, over its ``completion_tokens`` tokens.
    ``positive_recall`` and ``negative_recall`` say how complete each ranking is: None after a full scan, which has
    everything, and where only the index was asked. ``truncation_error`` is the relative error to expect of an influence
    for the query's gradient being kept in a bounded rank: 0 where it was kept whole.
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

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The positive hits, most influential first, then the negative ones, most negative first."""
        return self.positive + self.negative

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def to_pandas(self, *, layers: bool = False) -> pd.DataFrame:
        """Return one row for each hit; ``layers`` adds a column for each layer. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.hits(self, layers=layers)


@dataclass(frozen=True, kw_only=True)
class GroupInfluence:
    """The influence of a group of training sequences: what one more copy of each would add to the log-likelihood.

    ``name`` is a source, a document's id or a value of metadata, as a condition of :class:`whence.Filter` asks for it.
    ``influence`` is estimated, all but unbiased for groups of more than a few sequences; ``standard_error`` is its
    standard deviation over samples, 0 where all of the group's sequences were scored. ``sampled`` of its ``sequences``
    were.
    """

    name: str
    sequences: int
    influence: float
    standard_error: float
    sampled: int


@dataclass(frozen=True, kw_only=True)
class GroupInfluences(Answer):
    """How much of one output comes from each group of training sequences, most positive first, and from all of them.

    Where groups are made by a list in the metadata, a sequence is in one for each item, and once in ``total``.
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


@dataclass(frozen=True, kw_only=True)
class SelfInfluences(Answer):
    """The training sequences that influence themselves most: outliers, and what was learnt by heart.

    A hit's ``influence`` is how much one more copy of the sequence would raise its own log-likelihood, in nats.
    """

    hits: tuple[Hit, ...]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a scan, or a re-ranking, has come, and the best of what it has seen: a partial ranking, without text."""

    sequences_scored: int
    sequences_total: int
    positive: tuple[Hit, ...]
    negative: tuple[Hit, ...]

    @property
    def share(self) -> float:
        """The part of the sequences to score that was scored, from 0 to 1."""
        return self.sequences_scored / self.sequences_total if self.sequences_total else 0.0


@dataclass(frozen=True, kw_only=True)
class ScoreTable(Answer):
    """The influence of given training sequences on given queries.

    ``influence[query][sequence]`` and, where asked for, ``layer_influence[query][sequence][layer]``, in the
    order of the request. ``log_likelihood`` has one value for each query, in nats.
    """

    query_ids: tuple[str, ...]
    sequences: tuple[TrainingSequence, ...]
    influence: tuple[tuple[float, ...], ...]
    layer_influence: tuple[tuple[tuple[float, ...], ...], ...] | None
    log_likelihood: tuple[float, ...]

    @property
    def sequence_names(self) -> list[str]:
        """The sequences' ids; those given as text are ``text 1``, ``text 2``, …."""
        numbers = itertools.count(1)
        return [sequence.sequence_id or f"text {next(numbers)}" for sequence in self.sequences]

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each query and a column for each sequence. Needs ``whence[pandas]``."""
        from whence import dataframes

        return dataframes.scores(self)


@dataclass(frozen=True, kw_only=True)
class Explanation(Answer):
    """One training sequence's influence on one query: ``parts[layer][token]`` sum to ``influence``.

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
