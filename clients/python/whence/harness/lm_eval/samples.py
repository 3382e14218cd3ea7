"""One logged sample: the requests that a document made, what the model said to them, and how it was scored.

The format is that of lm_eval 0.4.13 (``lm_eval/evaluator.py``, ``lm_eval/loggers/evaluation_tracker.py``). In files
``arguments`` are objects and the responses texts; in process they are tuples. Both are read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence.errors import InvalidRequestError
from whence.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to the model: its prompt (messages for chat APIs), the continuation that was scored, the response.

    ``continuation`` is None where the model generated. The response is then ``generated``; otherwise it is the
    continuation's ``log_likelihood``, in nats. Of repeated responses these are the first.
    """

    prompt: str | list[dict[str, Any]]
    continuation: str | None
    generated: str = ""
    log_likelihood: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample, of one document and one filter. ``metrics`` are the values that are numbers, lists or texts."""

    task: str
    doc_id: int
    filter: str
    requests: tuple[Request, ...]
    target: str
    metrics: Mapping[str, Any]
    doc_hash: str
    prompt_hash: str


def parse(task: str, place: str, fields: Mapping[str, Any]) -> Sample:
    """Return the sample that ``fields`` are. ``place`` says where they are from.

    Raises :class:`~whence.errors.InvalidRequestError` (``UNREADABLE_SAMPLE``) for anything else.
    """
    try:
        arguments = [_values(request) for request in _values(fields["arguments"])]
        responses = fields["resps"]
        if not arguments or len(arguments) != len(responses):
            raise ValueError(f"it has {len(arguments)} requests and {len(responses)} responses")
        return Sample(
            task=task,
            doc_id=int(fields["doc_id"]),
            filter=str(fields["filter"]),
            requests=tuple(_request(*pair) for pair in zip(arguments, responses, strict=True)),
            target=str(fields["target"]),
            metrics={str(name): _plain(fields[name]) for name in fields["metrics"]},
            doc_hash=str(fields.get("doc_hash", "")),
            prompt_hash=str(fields.get("prompt_hash", "")),
        )
    except KeyError as error:
        raise unreadable(place, f"it has no field {error}") from error
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise unreadable(place, str(error)) from error


def unreadable(place: str, why: str) -> InvalidRequestError:
    """Return the error of what is no sample."""
    return InvalidRequestError(
        f"{place} is no sample of lm_eval: {why}", reason=Reason.UNREADABLE_SAMPLE, field="samples", place=place
    )


def _values(named: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """Return the values of ``{"gen_args_0": …, "gen_args_1": …}``, in the order of their numbers, or of a sequence."""
    if isinstance(named, Mapping):
        return [named[name] for name in sorted(named, key=lambda name: int(name.rpartition("_")[2]))]
    if isinstance(named, str) or not isinstance(named, Sequence):
        raise ValueError(f"its arguments are {named!r:.60}")
    return list(named)


def _request(arguments: list[Any], responses: Any) -> Request:  # noqa: ANN401 - any JSON value
    if len(arguments) > 2:
        raise ValueError("it asks with images or sounds, which are not attributed")
    first = responses[0]
    if len(arguments) == 1:  # loglikelihood_rolling: all of a text
        return Request(prompt="", continuation=_text(arguments[0]), log_likelihood=_nats(first))
    prompt = _prompt(arguments[0])
    if isinstance(arguments[1], str):
        return Request(prompt=prompt, continuation=arguments[1], log_likelihood=_nats(first))
    return Request(prompt=prompt, continuation=None, generated=_text(first))


def _prompt(given: Any) -> str | list[dict[str, Any]]:  # noqa: ANN401 - any JSON value
    """Return the prompt: a text; for chat APIs, where it is JSON in a tuple, the messages."""
    if isinstance(given, list | tuple) and len(given) == 1:
        messages = json.loads(given[0])
        if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
            return messages
    return _text(given)


def _text(given: Any) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(given, str):
        raise ValueError(f"{given!r:.60} stands where a text is expected")
    return given


def _nats(response: Any) -> float:  # noqa: ANN401 - any JSON value
    """Return the log-likelihood of ``[log-likelihood, is greedy]``, or of itself."""
    value = float(response[0] if isinstance(response, list | tuple) else response)
    if math.isnan(value):
        raise ValueError("a log-likelihood is NaN")
    return value


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a metric
    """Return a metric's value as JSON has it: numpy's numbers as Python's, tuples as lists."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value if isinstance(value, bool | int | float | str | None) else str(value)
