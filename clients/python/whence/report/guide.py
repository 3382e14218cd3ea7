"""How to read a report, in plain words."""

from __future__ import annotations

from typing import Final

from whence.display.markup import Markup, element, joined

_TERMS: Final = (
    (
        "Influence",
        "How much less likely the model's output would have been without this training sequence, by an "
        "estimate of first order, in nats (units of log-likelihood). Trust the order more than the sizes. In "
        "brackets: too large to be read as nats at all.",
    ),
    (
        "Signal, and how sure",
        "Most influences are noise. The percentage is the probability that the influence has the sign that it "
        "shows; 50 % is chance. From 95 % on a hit counts as told from noise. The signal is what is left of "
        "the influence when that doubt is taken off. Signals may be added up; influences may not.",
    ),
    (
        "Where noise begins",
        "Every output has noise of a size of its own. Hits inside the dashed band cannot be told from it: do "
        "not build on them.",
    ),
    (
        "Negative influence",
        "The sequence made the output less likely. Where this was measured, it meant nothing, unless the "
        "model's certificate says otherwise.",
    ),
    (
        "Marked tokens",
        "The tokens of the training sequence that carry its influence: an unbroken line raises the output's "
        "likelihood, dots lower it; the stronger the colour, the more.",
    ),
    (
        "Small bars",
        "The share of each depth of the model, first to last: up raises the likelihood, down lowers it.",
    ),
    (
        "Recall",
        "The expected share of the truly most influential sequences that the list has. A full scan misses "
        "none, so nothing is said then.",
    ),
    (
        "What this does not say",
        "That a text is similar, that it states the fact, or that it was copied. An influence concerns what "
        "the model says, whether that is true or not.",
    ),
)


def guide() -> Markup:
    """Return the explanation of the terms, folded up."""
    terms = [joined(element("dt", term), element("dd", meaning)) for term, meaning in _TERMS]
    return element("details", element("summary", "How to read this"), element("dl", *terms), class_="guide")


def key() -> Markup:
    """Return the key of the colours, in a line that is always seen."""
    return element(
        "p",
        "Which training sequences made the model say this? ",
        element("mark", "Solid underline", class_="p4"),
        " raises the output's likelihood, ",
        element("mark", "dotted underline", class_="n4"),
        " lowers it. Influence is an estimate in nats; its order is what it is for.",
        class_="key",
    )
