"""What stands beside every answer: warnings with what to do, and what the answer was computed with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whence.display import wording
from whence.display.advice import advice
from whence.display.markup import Markup, element, joined
from whence.results import Answer, AnswerWarning, Provenance


def warnings(items: Iterable[AnswerWarning]) -> Markup:
    """Return the warnings: what each means and, on demand, what the server said and what to do."""
    notes = [element("li", _warning(warning)) for warning in dict.fromkeys(items)]
    return element("ul", *notes, class_="note notes", aria_label="Warnings") if notes else joined()


def _warning(warning: AnswerWarning) -> Markup:
    meaning = advice(warning.code) or warning.code
    said = f"{warning.message[:1].upper()}{warning.message[1:]}"
    summary = element("summary", element("b", meaning))
    return element("details", summary, element("p", said, " ", element("code", warning.code)))


def work(answer: Answer) -> Markup:
    """Return the work behind an answer, as a line."""
    partial = "" if answer.corpus_share >= 1 else f"{answer.corpus_share:.0%} of the corpus"
    searched = f"{answer.sequences_searched:,} sequences compared with the index" if answer.sequences_searched else ""
    facts = [
        counted(answer.sequences_scored, "sequence scored exactly", "sequences scored exactly"),
        searched,
        answer.search.replace("_", " "),
        partial,
        f"request {answer.request_id}" if answer.request_id else "",
    ]
    return fact_line(fact for fact in facts if fact)


def counted(number: int, singular: str, plural: str) -> str:
    """Return a number of things; empty for none."""
    return f"{number:,} {singular if number == 1 else plural}" if number else ""


def fact_line(facts: Iterable[str]) -> Markup:
    """Return facts beside each other."""
    return element("ul", *(element("li", fact) for fact in facts), class_="facts")


def provenances(answers: Sequence[Answer]) -> Markup:
    """Return the provenance that the answers share or, under a warning, each that there is among them."""
    distinct = list(dict.fromkeys(answer.provenance for answer in answers))
    mixed = element(
        "p",
        f"These results were computed with {len(distinct)} different sets of model, factors, corpus and options: do "
        "not compare their sizes with each other.",
        class_="note",
    )
    parts = [provenance(item) for item in distinct]
    return joined(*([mixed] if len(distinct) > 1 else []), *parts)


def provenance(item: Provenance) -> Markup:
    """Return the model, the digests and the settings behind an answer."""
    layers = item.attributed_layers
    error = item.gradient_error
    facts = [
        ("Model", element("b", item.model)),
        ("How true", item.certificate.sentence),
        ("Model digest", _digest(item.model_digest)),
        ("Factors digest", _digest(item.factors_digest)),
        ("Corpus digest", _digest(item.corpus_digest)),
        ("Index digest", _digest(item.index_digest)),
        ("Certificate digest", _digest(item.certificate.digest)),
        ("Training set", f"{item.training_set_size:,} sequences{wording.origin_of_n(item.training_set_source)}"),
        ("Damping", f"{item.damping_factor:g} times each layer's mean eigenvalue"),
        ("Engine", item.engine),
        ("Gradients", "" if error is None else f"within {error:.0e} of autograd's"),
        ("Layers", f"through {len(layers)} layers alone: {', '.join(layers)}" if layers else ""),
    ]
    return pairs(facts)


def pairs(facts: Iterable[tuple[str, str]]) -> Markup:
    """Return names and values, without those that are empty."""
    shown = [joined(element("dt", name), element("dd", value)) for name, value in facts if value]
    return element("dl", *shown, class_="pairs") if shown else joined()


def _digest(digest: str) -> str:
    return element("code", digest) if digest else ""
