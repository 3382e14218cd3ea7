"""Check: does bfloat16 change more of a ranking than another label seed does?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whence_backends.contract import Float64Array
from whence_backends.validation.checks.agreement import Agreement, agreement, no_worse
from whence_backends.validation.checks.config import CheckProgress, CheckStage
from whence_backends.validation.checks.fits import FIRST_HALF, FIRST_SEED, SECOND_HALF, SECOND_SEED
from whence_backends.validation.checks.inputs import Inputs
from whence_backends.validation.checks.label_seed import SERVED
from whence_backends.validation.checks.sample import Positions, Sample
from whence_backends.validation.scores.scan import Scanned, scan, under

# What each precision is compared with: the wide one, or for the wide one what the narrow one would cost.
_OTHER: Final = {"bfloat16": "float32", "float32": "bfloat16", "float64": "float32"}


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The agreement of scans in two precisions, under the same factors.

    ``yardstick`` is the agreement, on the same sequences, of two fits with other labels (or, where labels are those of
    the data, of two halves of it). ``within_noise`` says whether precision costs no more than that, as far as can be
    told.
    """

    served: str
    other: str
    agreement: Agreement
    yardstick: Agreement
    within_noise: bool


def precision(
    inputs: Inputs, sample: Sample, scores: Mapping[str, Float64Array], progress: Callable[[CheckProgress], None]
) -> Precision:
    """Return the check, on up to ``precision_sequences`` of those scanned. ``scores`` [Q, n] are of all of them.

    Half of these are the first hits of the queries, as many of each, the others random: in a random sample of a large
    corpus no query has hits, and the first ten would be any.
    """
    columns = telling(sample, scores[SERVED], inputs.config.precision_sequences)
    served = inputs.card.precision
    other = _OTHER.get(served, "float32")
    positions = sample.scanned[columns]
    narrow, wide = (_scanned(inputs, positions, name, progress, part) for part, name in enumerate((served, other)))
    labels = inputs.card.labels != "empirical"
    names = (FIRST_SEED, SECOND_SEED) if labels else (FIRST_HALF, SECOND_HALF)
    first, second = (scores[name][:, columns] for name in names)
    judged, yardstick = agreement(narrow, wide), agreement(first, second)
    return Precision(
        served=served,
        other=other,
        agreement=judged,
        yardstick=yardstick,
        within_noise=no_worse(judged, yardstick),
    )


def telling(sample: Sample, served: Float64Array, count: int) -> NDArray[np.intp]:
    """Return up to ``count`` columns of the served scores [Q, n], ascending: first hits, and random ones."""
    by_rank = np.argsort(-served, axis=1, kind="stable").T.ravel()  # every query's first hit, then every second one
    hits = list(dict.fromkeys(by_rank.tolist()))[: count // 2]
    others = [column for column in sample.columns(sample.drawn).tolist() if column not in set(hits)]
    random = np.random.Generator(np.random.Philox(key=0)).permutation(others)[: count - len(hits)]
    return np.sort(np.concatenate([hits, random])).astype(np.intp)


def _scanned(
    inputs: Inputs, positions: Positions, name: str, progress: Callable[[CheckProgress], None], part: int
) -> Float64Array:
    """Return the served influences of positions, [Q, n], in a precision, the ``part``-th of two."""
    config = inputs.config

    def report(done: int, total: int) -> None:
        progress(CheckProgress(stage=CheckStage.PRECISION, done=part * total + done, total=2 * total))

    over = Scanned(
        corpus=inputs.corpus,
        positions=positions,
        batch_tokens=config.batch_tokens,
        progress=report,
    )
    queries = [query.tokens for query in inputs.queries]
    with inputs.engine(name) as engine:
        asked = {name: (under(engine, inputs.factors, config.damping_factor), queries)}
        values: Float64Array = np.asarray(scan(engine, asked, over)[name])
    return values
