"""Which text of a sample is the model's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from whence.errors import InvalidRequestError
from whence.harness.lm_eval.samples import Request, Sample
from whence.queries import Query
from whence.reasons import Reason

Kind = Literal["choice", "generation", "likelihood"]

# Metrics by which another choice is the model's than the one of the highest log-likelihood.
_BY_CHARACTERS: Final = "acc_norm"
_BY_BYTES: Final = "acc_bytes"
_MUTUAL: Final = "acc_mutual_info"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer: the ``completion`` of ``prompt``.

    A generation's is what was generated. Of several choices it is the one that the model chose, ``choice`` of them,
    and of a single one that itself, which the model was only asked for the likelihood of. ``log_likelihood`` is what
    the harness saw, None for a generation. ``gold`` is the right choice, with the prompt that it would complete, where
    the sample names it: what a contrast would set the answer against.
    """

    kind: Kind
    prompt: str | list[dict[str, Any]]
    completion: str
    choice: int | None = None
    log_likelihood: float | None = None
    gold: Request | None = None

    def query(self, query_id: str) -> Query:
        """Return the query that attributes the answer. Raises ``InvalidRequestError`` for an empty one."""
        if not self.completion:
            raise InvalidRequestError(
                "the model generated nothing, so there is nothing to attribute",
                reason=Reason.EMPTY_COMPLETION,
                field="samples",
            )
        if isinstance(self.prompt, str):
            return Query.text(self.prompt, self.completion, query_id=query_id)
        return Query.chat([*self.prompt, {"role": "assistant", "content": self.completion}], query_id=query_id)


def answer(sample: Sample, metric: str | None) -> Answer:
    """Return the answer of a sample that ``metric`` judges."""
    requests, unconditional = _choices(sample)
    if len(requests) == 1:
        return _single(requests[0])
    chosen = _chosen(requests, unconditional, metric)
    request = requests[chosen]
    return Answer(
        kind="choice",
        prompt=request.prompt,
        completion=request.continuation or "",
        choice=chosen,
        log_likelihood=request.log_likelihood,
        gold=_gold(sample.target, requests),
    )


def _single(request: Request) -> Answer:
    if request.continuation is None:
        return Answer(kind="generation", prompt=request.prompt, completion=request.generated)
    return Answer(
        kind="likelihood",
        prompt=request.prompt,
        completion=request.continuation,
        log_likelihood=request.log_likelihood,
        gold=request,
    )


def _choices(sample: Sample) -> tuple[tuple[Request, ...], tuple[Request, ...]]:
    """Return the requests, and those without a prompt that follow for the mutual information."""
    half, odd = divmod(len(sample.requests), 2)
    if _MUTUAL in sample.metrics and not odd and not any(request.prompt for request in sample.requests[half:]):
        return sample.requests[:half], sample.requests[half:]
    return sample.requests, ()


def _chosen(requests: tuple[Request, ...], unconditional: tuple[Request, ...], metric: str | None) -> int:
    """Return the first of the best choices, as ``numpy.argmax`` does in lm_eval's ``process_results``."""
    scores = [request.log_likelihood for request in requests]
    if metric == _MUTUAL and unconditional:
        scores = [score - other.log_likelihood for score, other in zip(scores, unconditional, strict=True)]
    elif metric in (_BY_CHARACTERS, _BY_BYTES):
        texts = _without_delimiter([request.continuation or "" for request in requests])
        sizes = [len(text if metric == _BY_CHARACTERS else text.encode()) for text in texts]
        scores = [score / max(size, 1) for score, size in zip(scores, sizes, strict=True)]
    return scores.index(max(scores))


def _without_delimiter(continuations: list[str]) -> list[str]:
    """Return the choices: lm_eval puts its delimiter before each, which the logged sample does not tell apart."""
    first = continuations[0]
    delimiter = first[: len(first) - len(first.lstrip())]
    while not all(continuation.startswith(delimiter) for continuation in continuations):
        delimiter = delimiter[:-1]
    return [continuation.removeprefix(delimiter) for continuation in continuations]


def _gold(target: str, requests: tuple[Request, ...]) -> Request | None:
    """Return the right choice, whose number or text the target is."""
    if target.isdecimal() and int(target) < len(requests):
        return requests[int(target)]
    named = [request for request in requests if (request.continuation or "").strip() == target.strip()]
    return named[0] if len(named) == 1 else None  # several: of tasks whose choices are prompts
