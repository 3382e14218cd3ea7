"""Numbers and notes as words, the same in a terminal and in a notebook. Nothing here is escaped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from whence.linear_range import is_outside
from whence.reasons import WarningCode

if TYPE_CHECKING:
    from whence.results import Answer, Attribution, GroupInfluence, Noise, Provenance

# A higher probability is not told from 1.
_SURE: Final = 0.995


def number(value: float) -> str:
    """Return an influence with its sign and three digits."""
    return f"{value:+.3g}"


def influence_on(value: float, log_likelihood: float) -> str:
    """Return an influence as :func:`number` does, in brackets where it is outside the linear range."""
    return f"({number(value)})" if is_outside(value, log_likelihood) else number(value)


def interval(group: GroupInfluence) -> str:
    """Return the interval of a group whose signal is known; with "…" for an end that is open."""
    assert group.signal_low is not None, "a group without signal"
    return f"{number(group.signal_low)} to {'…' if group.signal_high is None else number(group.signal_high)}"


def percent(probability: float) -> str:
    """Return a probability rounded down, so that it says of no hit that it is told from noise that is not."""
    return ">99 %" if probability > _SURE else f"{math.floor(100 * probability)} %"


def measured(result: Attribution) -> str:
    """Return the log-likelihood of the output, after the query's id."""
    tokens = result.completion_tokens
    label = f"{result.query_id}: " if result.query_id else ""
    return (
        f"{label}log-likelihood of the output {result.log_likelihood:.3f} nats "
        f"over {tokens} token{'s' if tokens != 1 else ''}"
    )


def noise(of: Noise | None) -> str:
    """Return the scale and the tails of the noise of a query's influences."""
    if of is None:
        return "How much of this is noise is not known."
    sampled = f", {of.sampled:,} of them sampled for this" if of.sampled else ""
    return (
        f"Noise ±{of.scale:.3g} nats, with tails of {of.degrees_of_freedom:g} degrees of freedom, from "
        f"{of.sequences:,} influences{sampled}. Signal: the influence without noise; below, how sure its sign is."
    )


def facts(answer: Answer) -> tuple[str, str, str]:
    """Return the lines under an answer: how true it is known to be, what it was made from, and the work it took."""
    work = [f"{answer.sequences_scored:,} sequences scored", *timings(answer.timings), f"request {answer.request_id}"]
    return answer.provenance.certificate.sentence, origin(answer.provenance), " · ".join(work)


def origin(source: Provenance) -> str:
    """Return the artefacts that numbers were computed with, in a line."""
    artefacts = (
        f"{source.model} · model {short(source.model_digest)} · factors {short(source.factors_digest)} · "
        f"corpus {short(source.corpus_digest)} · damping {source.damping_factor:g} · "
        f"N = {source.training_set_size:,}{origin_of_n(source.training_set_source)} · {source.engine}"
    )
    layers = f" · through {len(source.attributed_layers)} layers alone" if source.attributed_layers else ""
    return artefacts + layers


def negative_is_validated(result: Answer) -> bool:
    """Return whether an answer does not warn of its negative influences."""
    return all(warning.code != WarningCode.NEGATIVE_NOT_VALIDATED for warning in result.warnings)


def origin_of_n(source: str) -> str:
    """Return the origin of the size of the training set, in brackets; empty where the server does not say."""
    origin = {"corpus": "the fitted corpus", "fit": "given to the fit", "worker": "set in the worker"}.get(source)
    return f" ({origin})" if origin else ""


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
