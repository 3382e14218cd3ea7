"""The fits that the served factors are compared with: two label seeds on a sample, and two halves of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from whence_backends.ekfac.factors import Factors
from whence_backends.fit import FitConfig, FitProgress, fit
from whence_backends.store.artefact import canonical_json, digest_bytes
from whence_backends.validation.checks.config import CheckProgress, CheckStage
from whence_backends.validation.checks.inputs import Inputs
from whence_backends.validation.checks.sample import Positions, Sample, Subset

FIRST_SEED, SECOND_SEED, FIRST_HALF, SECOND_HALF = FITS = ("first-seed", "second-seed", "first-half", "second-half")
_PER_FIT: Final = 1000
# Where each stage of a fit begins, and how much of the whole it is.
_STAGES: Final = {"covariance": (0.0, 0.45), "eigenbasis": (0.45, 0.1), "lambda": (0.55, 0.45)}


def fit_again(inputs: Inputs, sample: Sample, progress: Callable[[CheckProgress], None]) -> dict[str, Factors]:
    """Fit four times as the served factors were fitted, and return the factors by the names in ``FITS``.

    Those of a run that was killed are opened. Raises the errors of :func:`whence_backends.fit.fit`.
    """
    config, (first_half, second_half) = inputs.config, sample.halves(inputs.config.fit_sequences)
    whole = sample.first(config.fit_sequences)
    wanted: list[tuple[Positions, int]] = [
        (whole, config.seed),
        (whole, config.seed + 1),
        (first_half, config.seed),
        (second_half, config.seed + 1),
    ]
    factors: dict[str, Factors] = {}
    for number, (name, (positions, seed)) in enumerate(zip(FITS, wanted, strict=True)):
        factors[name] = fit(
            _configuration(inputs, name, seed), Subset(inputs.corpus, positions), partial(_report, number, progress)
        )
    return factors


def _configuration(inputs: Inputs, name: str, seed: int) -> FitConfig:
    config, card = inputs.config, inputs.card
    identity = [inputs.factors.digest, inputs.corpus.digest, config.fit_sequences, config.seed]
    short = digest_bytes(canonical_json(identity)).removeprefix("blake3:")[:16]
    return FitConfig(
        model=config.model,
        out=config.out / "fits" / f"{name}-{short}",
        tracked=card.tracked,
        labels="empirical" if card.labels == "empirical" else "sampled",
        precision=card.precision,
        device=config.device,
        batch_tokens=config.batch_tokens,
        training_sequences=card.training_set_size,
        seed=seed,
    )


def _report(number: int, progress: Callable[[CheckProgress], None], at: FitProgress) -> None:
    start, share = _STAGES[at.stage]
    done = number * _PER_FIT + round(_PER_FIT * (start + share * at.done / max(1, at.total)))
    progress(CheckProgress(stage=CheckStage.FITS, done=done, total=_PER_FIT * len(FITS)))
