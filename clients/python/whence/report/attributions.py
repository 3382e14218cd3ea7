"""The section of a ranking."""

from __future__ import annotations

from collections.abc import Iterator

from whence.display import wording
from whence.display.markup import Markup, element, joined
from whence.display.wording import number
from whence.report.about import fact_line, warnings, work
from whence.report.charts import noise_line
from whence.report.hits import hits
from whence.report.layers import layer_map
from whence.results import Attribution, Noise, Recall


def attribution(result: Attribution, *, of_batch: bool = False) -> Iterator[Markup]:
    """Yield the parts of a ranking's section, after what was asked.

    The warnings of a batch are about all of its queries, and are shown once, elsewhere.
    """
    yield _measured(result)
    if not of_batch:
        yield warnings(result.warnings)
    yield from _noise(result)
    yield from _ranking(result)
    yield layer_map(result)
    yield work(result)


def _measured(result: Attribution) -> Markup:
    tokens = result.completion_tokens
    per_token = f", {result.log_likelihood / tokens:.2f} a token" if tokens > 1 else ""
    return fact_line(
        [
            joined("log-likelihood of the output ", element("b", f"{result.log_likelihood:.3f} nats"), per_token),
            f"{tokens:,} token{'s' if tokens != 1 else ''}",
            *(
                _recall(recall, kind)
                for recall, kind in (
                    (result.positive_recall, "positive"),
                    (result.negative_recall, "negative"),
                )
                if recall is not None
            ),
        ]
    )


def _recall(recall: Recall, kind: str) -> Markup:
    early = ", enough to stop early" if recall.stopped_early else ""
    return joined(
        "about ",
        element("b", f"{recall.recall:.0%}"),
        f" of the truly most {kind} sequences are here "
        f"({recall.reranked:,} of {recall.candidates:,} candidates scored{early})",
    )


def _ranking(result: Attribution) -> Iterator[Markup]:
    doubt = "" if wording.negative_is_validated(result) else " (not validated)"
    for title, items, significant in (
        ("Made the output more likely", result.positive, result.positive_significant),
        (f"Made the output less likely{doubt}", result.negative, result.negative_significant),
    ):
        if items:
            yield element("h3", title)
            yield hits(items, result.log_likelihood, significant=significant)
    if not result.hits:
        yield element("p", "No sequence has an influence of the sign that was asked for.", class_="soft")


def _noise(result: Attribution) -> Iterator[Markup]:
    if not result.hits:
        return
    noise = result.noise
    if noise is None:
        if result.positive_significant is None and all(hit.signal is None for hit in result.hits):
            yield element("p", wording.noise(None), class_="soft small")
        return
    yield element("h3", "Where noise begins")
    yield noise_line(result)
    sampled = f", {noise.sampled:,} of them sampled for this" if noise.sampled else ""
    about = (
        f"{_band(noise)} The upright line is 0. Noise has a scale of {noise.scale:.3g} nats and tails of "
        f"{noise.degrees_of_freedom:g} degrees of freedom, estimated from {noise.sequences:,} influences{sampled}."
    )
    yield element("p", about, class_="soft small")


def _band(noise: Noise) -> str:
    low, high = noise.negative_threshold, noise.positive_threshold
    ends = [f"below {number(high)}"] if high is not None else []
    ends += [f"above {number(low)}"] if low is not None else []
    if not ends:
        return "Nothing is told from noise: all dots are in the dashed band."
    return f"Dots in the dashed band, {' and '.join(ends)} nats, are not told from noise."
