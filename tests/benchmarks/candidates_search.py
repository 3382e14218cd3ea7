"""Candidates of a bank's queries as the service finds them: by an index, by shared tokens, or by both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final

import numpy as np
from recall_evaluation import Indexed, Scores, Setting

from whence.worker.v1 import worker_service_pb2 as messages
from whence_backends.contract import EngineConfig, Float64Array
from whence_backends.corpus import Corpus
from whence_backends.corpus.lexical import document_frequencies, match_scores
from whence_backends.ekfac.factors import Factors
from whence_backends.engines import pytorch
from whence_backends.index.plan import make_plan
from whence_backends.index.sketch import fold_gradient
from whence_backends.models.source import locate_model
from whence_backends.models.text.tokenizer import Tokenizer
from whence_backends.validation.queries import ValidationQuery, tokenize
from whence_service.frontend.search.candidates import Candidate, Candidates
from whence_service.frontend.search.refinement import FEWEST_CANDIDATES, first_round, second_round
from whence_service.frontend.search.token_candidates import weigh
from whence_service.frontend.search.union_candidates import union

# Returns the positions of a query's candidates, so many of them.
Propose = Callable[[int, int], Sequence[int]]
INDEX: Final = "index"
TOKENS: Final = "TF-IDF"
UNION: Final = "union"
HALF: Final = "union, half by tokens"
# At each step of sketching, sequences.
_STEP: Final = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Searched:
    """What can be searched for a bank's queries: an index of each setting, and the scores by tokens, float64 [Q, N]."""

    indexes: dict[Setting, Indexed]
    by_tokens: Float64Array

    def ways(self, setting: Setting) -> dict[str, Propose]:
        """Return the ways of finding candidates, by name."""
        index = self.indexes[setting]
        return {
            INDEX: lambda query, count: positions_of(index.two_rounds(query, count).positive),
            TOKENS: lambda query, count: positions_of(self.matches(query, count)),
            UNION: lambda query, count: positions_of(served(index, query, self.proposals(index, query, count))),
            HALF: lambda query, count: self._throughout(index, query, count),
        }

    def matches(self, query: int, count: int) -> tuple[Candidate, ...]:
        """Return the sequences that share the most telling tokens with a query."""
        best = np.argsort(-self.by_tokens[query], kind="stable")[:count].tolist()
        return tuple(Candidate(position=each, estimate=float(self.by_tokens[query, each]), error=0.0) for each in best)

    def proposals(self, index: Indexed, query: int, count: int) -> Candidates:
        """Return the candidates of both searches, before a second round."""
        ours = index.one_round(query, count).positive
        return Candidates(positive=union(ours, self.matches(query, count)))

    def _throughout(self, index: Indexed, query: int, count: int) -> Sequence[int]:
        """Return candidates half of which are found by tokens, in both rounds."""
        ours, theirs = index.one_round(query, count).positive, self.matches(query, 2 * count)
        if count < FEWEST_CANDIDATES:
            return in_turns(ours, theirs)[:count]
        first = in_turns(ours, theirs)[: count // 2]
        _, better = index.learned(query, first, 2 * count)
        return list(dict.fromkeys((*first, *in_turns(better.positive, theirs))))[:count]


def served(index: Indexed, query: int, proposals: Candidates) -> tuple[Candidate, ...]:
    """Return the candidates that are scored of those proposed: with a second round, as the service chooses it."""
    first, count = first_round(proposals, index.sequences), len(proposals.positive)
    if first == proposals:
        return proposals.positive
    known, better = index.learned(query, positions_of(first.positive), count)
    return second_round(proposals, first, better, known).positive


def search(
    model: str,
    factors: Path,
    corpus: Path,
    queries: Sequence[ValidationQuery],
    settings: Sequence[Setting],
    raw: Float64Array,
) -> Searched:
    """Return what can be searched; ``raw`` are the exact influences [Q, N], which second rounds learn from."""
    opened, held = Factors.open(factors), Corpus.open(corpus)
    engine = pytorch.create(EngineConfig(model=model, factors=factors, device="cpu", precision=opened.card.precision))
    asked = tokenize(
        queries,
        Tokenizer.load(locate_model(model, weights=False)),
        held,
        max_tokens=engine.info.max_tokens,
        vocabulary_size=engine.info.vocabulary_size,
    )
    gradients = engine.query_gradients(asked)
    scores, Lambdas = Scores(exact=raw), [opened.Lambda(layer) for layer in range(len(opened.card.layers))]
    for keep, width in settings:
        plan, scores.segments[keep, width] = make_plan(
            opened.card.layers, Lambdas, damping_factor=0.1, keep=keep, width=width, groups=4, seed=0
        )
        scores.queries[keep, width] = np.stack([fold_gradient(gradient, plan) for gradient in gradients])
        prepared = engine.prepare_sketches(plan)
        blocks = [range(held.sequences)[first : first + _STEP] for first in range(0, held.sequences, _STEP)]
        scores.sequences[keep, width] = np.concatenate(
            [engine.sketch(prepared, held.tokens_at(block)).values for block in blocks]
        )
    found = Searched(
        indexes={setting: Indexed(scores, setting, 1) for setting in settings},
        by_tokens=token_scores(held, [query.token_ids for query in asked], engine.info.vocabulary_size),
    )
    engine.close()
    return found


def token_scores(corpus: Corpus, queries: Sequence[Sequence[int]], vocabulary: int) -> Float64Array:
    """Return the score of each sequence by the tokens that it shares with each query, float64 [Q, N]."""
    batches = [batch for shard in corpus.shards for batch in corpus.token_batches(shard.name)]
    frequencies = document_frequencies(batches, vocabulary)
    counted = []
    for query in queries:
        tokens, counts = np.unique(query, return_counts=True)
        counted.append(
            messages.TokenCounts(tokens=tokens.tolist(), counts=counts.tolist(), sequences=frequencies[tokens].tolist())
        )
    weights = weigh([messages.CountTokensResponse(queries=counted, sequences_searched=corpus.sequences)])
    return np.stack(
        [
            match_scores(batches, np.array(of_query.tokens, np.int32), np.array(of_query.weights), vocabulary)
            for of_query in weights
        ]
    )


def in_turns(ours: Sequence[Candidate], theirs: Sequence[Candidate]) -> list[int]:
    """Return the positions of both in turns, none twice."""
    pairs = chain.from_iterable(zip_longest(ours, theirs))
    return list(dict.fromkeys(candidate.position for candidate in pairs if candidate is not None))


def positions_of(candidates: Sequence[Candidate]) -> list[int]:
    """Return the positions of candidates, in their order."""
    return [candidate.position for candidate in candidates]
