"""What stands beside every answer: warnings with what to do, and what the answer was computed with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from whence.display import wording
from whence.display.advice import advice
from whence.display.markup import Markup, element, joined
from whence.results import Answer, AnswerWarning, Provenance

# So many messages of a warning are shown.
_MESSAGES: Final = 3


def warnings(items: Iterable[AnswerWarning]) -> Markup:
    """Return the warnings: what each means and, on demand, what the server said and what to do."""
    return _notes([_note(warning.code, "", [warning.message]) for warning in dict.fromkeys(items)])


def counted_warnings(messages: Mapping[str, Counter[str]]) -> Markup:
    """Return the warnings of many answers: for each code its messages, those that most answers have first."""
    notes = []
    for code, counts in messages.items():
        answers = f" (of batches with {counts.total():,} answers; the message says of how many)"
        said = [message for message, _ in counts.most_common(_MESSAGES)]
        more = [f"… and {len(counts) - _MESSAGES:,} other messages."] if len(counts) > _MESSAGES else []
        notes.append(_note(code, answers, [*said, *more]))
    return _notes(notes)


def _notes(notes: Sequence[Markup]) -> Markup:
    if not notes:
        return joined()
    return element("ul", *(element("li", note) for note in notes), class_="note notes", aria_label="Warnings")


def _note(code: str, more: str, messages: Sequence[str]) -> Markup:
    said = [element("p", f"{message[:1].upper()}{message[1:]}") for message in messages]
    summary = element("summary", element("b", advice(code) or code), more)
    return element("details", summary, *said, element("p", element("code", code)))


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
