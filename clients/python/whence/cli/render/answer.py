"""The lines under every answer: warnings, provenance, timings."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from whence.reasons import WarningCode
from whence.results import Answer, AnswerWarning
from whence.terminal import printable


def about(answer: Answer) -> list[Text]:
    """Return the lines under an answer: its warnings, then dim lines with its provenance and timings."""
    source = answer.provenance
    origin = (
        f"{source.model} · model {short(source.model_digest)} · factors {short(source.factors_digest)} · "
        f"corpus {short(source.corpus_digest)} · damping {source.damping_factor:g} · "
        f"N = {source.training_set_size:,}{origin_of_n(source.training_set_source)} · {source.engine}"
    )
    if source.attributed_layers:
        origin += f" · through {len(source.attributed_layers)} layers alone"
    scored = f"{answer.sequences_scored:,} sequences scored"
    work = [scored, *timings(answer.timings), f"request {answer.request_id}"]
    return [
        *warnings(answer.warnings),
        Text(printable(source.certificate.sentence), style="dim"),
        Text(printable(origin), style="dim"),
        Text(printable(" · ".join(work)), style="dim"),
    ]


def negative_is_validated(result: Answer) -> bool:
    """Return whether an answer does not warn of its negative influences."""
    return all(warning.code != WarningCode.NEGATIVE_NOT_VALIDATED for warning in result.warnings)


def origin_of_n(source: str) -> str:
    """Return the origin of the size of the training set, in brackets; empty where the server does not say."""
    origin = {"corpus": "the fitted corpus", "fit": "given to the fit", "worker": "set in the worker"}.get(source)
    return f" ({origin})" if origin else ""


def warnings(items: Iterable[AnswerWarning]) -> list[Text]:
    """Return a yellow line for each warning."""
    return [Text(printable(f"Warning: {warning.message} ({warning.code})"), style="yellow") for warning in items]


def timings(seconds_by_stage: dict[str, float]) -> list[str]:
    """Return each stage with its time, the slowest first."""
    slowest_first = sorted(seconds_by_stage.items(), key=lambda pair: -pair[1])
    return [f"{stage} {duration(seconds)}" for stage, seconds in slowest_first]


def duration(seconds: float) -> str:
    """Return a time in milliseconds, or in seconds from 1 s."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def short(digest: str) -> str:
    """Return the first 12 characters of a digest."""
    return digest[:12]
