"""All checks, one after another: what they share is computed once, and what is done is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from whence_backends.contract import Float64Array
from whence_backends.preflight import Finding
from whence_backends.store import alone_in
from whence_backends.validation.checks.baselines import baseline
from whence_backends.validation.checks.canaries import CanaryRanks, canary_ranks
from whence_backends.validation.checks.config import Canary, CheckConfig, CheckProgress, CheckQuery, CheckStage
from whence_backends.validation.checks.coverage import coverage
from whence_backends.validation.checks.fits import fit_again
from whence_backends.validation.checks.half_data import half_data
from whence_backends.validation.checks.inputs import Inputs, open_inputs
from whence_backends.validation.checks.kept import Kept
from whence_backends.validation.checks.label_seed import SERVED, label_seed
from whence_backends.validation.checks.optimum import Optimum, optimum
from whence_backends.validation.checks.precision import Precision, precision
from whence_backends.validation.checks.results import Checks, write
from whence_backends.validation.checks.sample import Sample, draw
from whence_backends.validation.checks.step import Steps, steps
from whence_backends.validation.scores.lexical import bm25
from whence_backends.validation.scores.scan import Scanned, scan, unconditioned, under

_BM25: Final = "bm25"
_DOT: Final = "dot_product"
_CANARIES: Final = "canaries"
_TEXTS_PER_REPORT: Final = 1000

Progress = Callable[[CheckProgress], None]


def run_checks(
    config: CheckConfig,
    queries: Sequence[CheckQuery],
    canaries: Sequence[Canary] = (),
    progress: Progress = lambda _: None,
    *,
    warn: Callable[[Finding], None] = lambda _: None,
) -> Checks:
    """Return the checks of served factors, and write them to ``checks.json``. Killed, the same call goes on.

    ``warn`` receives the warnings of the preflight. Raises :class:`~whence.errors.InvalidRequestError` if there is no
    query or the corpus has too few sequences, :class:`~whence.errors.NotFoundError` for an unknown document of a
    canary, :class:`~whence.errors.MismatchError` for artefacts that do not belong together, and
    :class:`~whence.errors.StorageError` if the disk is full or others check into the same folder.
    """
    inputs = open_inputs(config, queries, canaries, warn)
    with alone_in(config.out):
        result = _run(inputs, progress)
        write(result, config.out)
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class _Canaries:
    """The positions of each canary's documents."""

    positions: Sequence[Sequence[Sequence[int]]]

    def columns(self, sample: Sample) -> list[list[list[int]]]:
        """Return the columns of the documents among those scanned."""
        return [
            [np.searchsorted(sample.scanned, places).tolist() for places in of_canary] for of_canary in self.positions
        ]


def _run(inputs: Inputs, progress: Progress) -> Checks:
    config, card = inputs.config, inputs.card
    kept = Kept(config.out, inputs.identity())
    documents = _Canaries(
        positions=[[inputs.positions_of(name) for name in canary.documents] for canary in inputs.canaries]
    )
    lexical = kept.arrays("lexical", lambda: {_BM25: _lexical(inputs, progress)})[_BM25]
    wanted = [position for of_canary in documents.positions for places in of_canary for position in places]
    sample = draw(config, inputs.corpus.sequences, lexical, wanted)
    scores = kept.arrays("scan", partial(_scores, inputs, sample, progress))
    served = scores[SERVED]
    fitted = len(sample.first(config.fit_sequences))
    return Checks(
        model_digest=card.model_digest,
        factors_digest=inputs.factors.digest,
        corpus_digest=inputs.corpus.digest,
        queries=len(inputs.queries),
        sequences=inputs.corpus.sequences,
        scanned=len(sample.scanned),
        damping_factor=config.damping_factor,
        label_seed=label_seed(scores, fitted, card.labels),
        half_data=half_data(scores, fitted // 2),
        precision=kept.result("precision", Precision, partial(precision, inputs, sample, scores, progress)),
        steps=kept.result("steps", Steps, partial(steps, inputs, sample, served, progress)),
        optimum=kept.result("optimum", Optimum, partial(optimum, inputs, sample, served, progress)),
        baselines=(
            baseline(_BM25, served, lexical[:, sample.scanned]),
            baseline(_DOT, served, scores[_DOT]),
        ),
        coverage=coverage(inputs.factors),
        canaries=_canaries(inputs, scores[_CANARIES], documents.columns(sample)),
    )


def _canaries(inputs: Inputs, scores: Float64Array, columns: list[list[list[int]]]) -> tuple[CanaryRanks, ...]:
    return canary_ranks(inputs.canaries, scores, columns)


def _lexical(inputs: Inputs, progress: Progress) -> Float64Array:
    """Return the BM25 scores of the whole corpus, [Q, N]."""
    total = inputs.corpus.sequences

    def text(position: int) -> str:
        if position % _TEXTS_PER_REPORT == 0:
            progress(CheckProgress(stage=CheckStage.LEXICAL, done=position, total=total))
        return inputs.corpus.record(position).text

    scores = bm25(map(text, range(total)), [query.text for query in inputs.queries])
    progress(CheckProgress(stage=CheckStage.LEXICAL, done=total, total=total))
    return scores


def _scores(inputs: Inputs, sample: Sample, progress: Progress) -> dict[str, Float64Array]:
    """Return the scores of the sample [Q, n], under the served factors, those fitted again, and none."""
    config, queries = inputs.config, [query.tokens for query in inputs.queries]
    again = fit_again(inputs, sample, progress)
    over = Scanned(
        corpus=inputs.corpus,
        positions=sample.scanned,
        batch_tokens=config.batch_tokens,
        progress=lambda done, total: progress(CheckProgress(stage=CheckStage.SCAN, done=done, total=total)),
    )
    with inputs.engine(inputs.card.precision) as engine:
        served = under(engine, inputs.factors, config.damping_factor)
        asked = {
            SERVED: (served, queries),
            **{name: (under(engine, factors, config.damping_factor), queries) for name, factors in again.items()},
            _DOT: (unconditioned(engine.model), queries),
            _CANARIES: (served, [canary.query.tokens for canary in inputs.canaries]),
        }
        return scan(engine, asked, over)
