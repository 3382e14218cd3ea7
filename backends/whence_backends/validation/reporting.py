"""From a bank to its report and its certificate: fit, score, hold against retraining, write."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

import whence
from whence.errors import MismatchError
from whence.reasons import Reason
from whence_backends.certificates import Certificate, Kind, Making, Subject, write_certificate
from whence_backends.contract import Float64Array
from whence_backends.corpus import Corpus
from whence_backends.ekfac.factors import Factors
from whence_backends.fit import FitConfig, fit
from whence_backends.validation.bank import Bank
from whence_backends.validation.certification import certify
from whence_backends.validation.checks import results
from whence_backends.validation.checks.results import Checks
from whence_backends.validation.methods import EKFAC, NEGATIVE, POSITIVE, SIGNAL, Scores, denoise, methods
from whence_backends.validation.proxy_bank import MODEL, original_corpus
from whence_backends.validation.queries import read_queries
from whence_backends.validation.report import Claims, build_report, write_report
from whence_backends.validation.scoring import ScoringConfig, score_all

Progress = Callable[[str, float], None]
PROXY_NOTE: Final = (
    "The models are small ones, trained on the corpus by this tool: this validates the method and the corpus, not the "
    "model that is served."
)


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A report as it is in ``report.json``, and the certificate that was written beside it."""

    document: dict[str, Any]
    certificate: Certificate


def report_on(
    bank: Bank,
    scoring: ScoringConfig,
    out: Path,
    *,
    proxy: bool = False,
    checks: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Reported:
    """Score, compare with the bank, and write ``report.json``, ``report.html``, plots and ``certificate/`` to ``out``.

    ``checks`` is the folder of `whence validate check`, whose figures the certificate then has too. Raises the
    errors of :func:`.scoring.score_all` and :func:`.report.build_report`.
    """
    corpus = Corpus.open(scoring.corpus, verify=False)
    bank.require_corpus(corpus.digest)
    documents = [corpus.record(position).document_id for position in range(corpus.sequences)]
    outcomes = bank.outcomes(documents)
    queries = read_queries(bank.queries_file)
    scores = score_all(scoring, queries, progress)
    missing = len(bank.missing())
    notes = ((PROXY_NOTE,) if proxy else ()) + (
        (f"{missing} of the {len(bank.plan.runs)} runs of the plan are not measured.",) if missing else ()
    )
    claims = replace(claims_of(scores), removals=bank.plan.removals, query_ids=[query.id for query in queries])
    report = build_report(outcomes, claims, title=scoring.model, notes=notes)
    certificate = certify(
        report,
        kind=Kind.PROXY if proxy else Kind.MODEL,
        subject=_subject(bank, scoring, corpus, proxy=proxy),
        making=_making(scoring),
        alpha=bank.plan.config.alpha,
        checks=None if checks is None else _checks_of(checks, scoring),
    )
    document = write_report(report, out)
    return Reported(document=document, certificate=write_certificate(out / "certificate", certificate))


def proxy_scoring(bank: Bank, progress: Progress = lambda *_: None) -> ScoringConfig:
    """Return the scoring of a bank of proxies: of its own model and corpus, with factors that are fitted if need be."""
    folder = bank.folder
    config = FitConfig(model=str(folder / MODEL), out=folder / "factors")
    factors = fit(
        config, Corpus.open(folder / "corpus"), lambda at: progress(f"fit, {at.stage}", at.done / max(1, at.total))
    )
    return ScoringConfig(
        model=config.model, factors=factors.folder, corpus=folder / "corpus", work=folder / "work", all_linear=False
    )


def claims_of(scores: Scores) -> Claims:
    """Return the claims of the methods. In a sum over a group, each influence may be off by its own size, either way.

    Of the signal, only that part of its square which is more than noise counts: what is served.
    """
    denoised = denoise(scores.influence)
    table = methods(scores, denoised)
    in_nats = {name for name in table if name.startswith(EKFAC) and "BM25" not in name}
    errors: dict[str, Float64Array] = {name: np.abs(scores.influence) for name in (EKFAC, POSITIVE, NEGATIVE)}
    errors[SIGNAL] = np.sqrt(scores.influence * denoised.signal)
    known = not np.isnan(denoised.significance).any()
    return Claims(
        scores=table,
        reference=EKFAC,
        in_nats=in_nats,
        signal=denoised.signal if known else None,
        significance=denoised.significance if known else None,
        self_influence=scores.self_influence,
        errors=errors,
    )


def _checks_of(folder: Path, scoring: ScoringConfig) -> Checks:
    """Return the checks of a folder. Raises :class:`~whence.errors.MismatchError` for those of another fit."""
    checks, digest = results.read(folder), Factors.open(scoring.factors).digest
    if checks.factors_digest != digest:
        raise MismatchError(
            f"the checks in {folder} are of the factors {checks.factors_digest}, the report of {digest}; check these "
            "with `whence validate check`, or leave --checks out",
            reason=Reason.CHECKS_FACTORS_MISMATCH,
            path=folder,
        )
    return checks


def _subject(bank: Bank, scoring: ScoringConfig, corpus: Corpus, *, proxy: bool) -> Subject:
    card = (factors := Factors.open(scoring.factors)).card
    return Subject(
        model=scoring.model,
        model_digest=card.model_digest,
        factors_digest=factors.digest,
        corpus_digest=original_corpus(bank.folder) or corpus.digest if proxy else corpus.digest,
    )


def _making(scoring: ScoringConfig) -> Making:
    return Making(
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{platform.machine()}, {os.cpu_count()} cores, device {scoring.device}",
        method="whence validate report",
        whence_version=whence.__version__,
        damping_factor=scoring.damping_factor,
        engine="pytorch",
    )
