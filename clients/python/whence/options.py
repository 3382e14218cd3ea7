"""The options of queries, each declared once.

The clients take them as keyword arguments, the command line's help and ``docs/options.md`` are made from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal, TypedDict, TypeVar, get_type_hints

from whence.errors import InvalidRequestError
from whence.filters import Filter
from whence.reasons import Reason

Direction = Literal["positive", "negative", "both"]
Search = Literal["auto", "full_scan", "index_rerank", "index_only", "tfidf_rerank", "union_rerank"]

# The damping factor of an index, and of a model whose worker is given none.
DEFAULT_DAMPING_FACTOR: Final = 0.1

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Option:
    """The declaration of an option. ``unset`` says what its default, None or empty, stands for."""

    description: str
    default: Any = None
    unset: str = ""
    minimum: int | None = None
    maximum: int | None = None
    reason: Reason = Reason.INVALID_FIELD

    def check(self, field: str, value: object) -> None:
        """Raise ``InvalidRequestError`` for a number out of bounds. What is no number the message itself refuses."""
        if not isinstance(value, int | float):
            return
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            name = field.rpartition(".")[2]
            unset = f", or None for {self.unset}" if self.unset else ""
            most = f" and at most {self.maximum}" if self.maximum is not None else ""
            raise InvalidRequestError(
                f"{name} is {value}: it must be at least {self.minimum}{most}{unset}", reason=self.reason, field=field
            )


DampingFactor = Annotated[
    float | None,
    Option(
        description="Damping, as a multiple of each layer's mean corrected eigenvalue.",
        unset="the model's",
        minimum=0,
        reason=Reason.INVALID_DAMPING_FACTOR,
    ),
]
Only = Annotated[
    Filter | None, Option(description="A filter of the training sequences that count.", unset="every sequence")
]
Layers = Annotated[
    Sequence[str],
    Option(
        description="Layers through which influence counts: names, or patterns such as 'model.layers.3.*'.",
        default=(),
        unset="every layer",
    ),
]


class AttributionOptions(TypedDict, total=False):
    """The options of a ranking: keyword arguments of ``attribute`` and ``attribute_stream``."""

    top_k: Annotated[
        int,
        Option(
            description="How many training sequences to return, in each direction.",
            default=10,
            minimum=1,
            reason=Reason.INVALID_TOP_K,
        ),
    ]
    direction: Annotated[
        Direction,
        Option(
            description="Whether to return sequences that made the output more likely ('positive'), less likely "
            "('negative'), or 'both'.",
            default="positive",
        ),
    ]
    damping_factor: DampingFactor
    include_layers: Annotated[bool, Option(description="Split each influence over the model's layers.", default=False)]
    include_tokens: Annotated[
        bool, Option(description="Split each influence over the sequence's tokens.", default=False)
    ]
    search: Annotated[
        Search,
        Option(
            description="How to find the sequences. 'full_scan' scores the whole corpus, 'index_rerank' the best "
            "candidates of the gradient index, and 'index_only' none; 'tfidf_rerank' scores the sequences that share "
            "the most telling tokens with the query, and 'union_rerank' some of both kinds; 'auto' is 'union_rerank' "
            "where the server has an index ('index_rerank' for callers who may not read texts), else 'full_scan'.",
            default="auto",
        ),
    ]
    candidates: Annotated[
        int | None,
        Option(
            description="How many candidates to score exactly, at most.",
            unset="the server's choice",
            minimum=1,
            reason=Reason.INVALID_CANDIDATES,
        ),
    ]
    stop_at_recall: Annotated[
        float | None,
        Option(
            description="Score no more candidates once the expected share of the truly most influential sequences in "
            "the answer is so large; 1 scores them all. For searches of candidates with the index.",
            unset="0.98",
            minimum=0,
            maximum=1,
            reason=Reason.INVALID_STOP_AT_RECALL,
        ),
    ]
    only: Only
    layers: Layers
    return_partial_success: Annotated[
        bool,
        Option(
            description="Answer although shards of the corpus cannot be reached, and name them in the answer.",
            default=False,
        ),
    ]
    significant_only: Annotated[
        bool,
        Option(
            description="Return only the sequences whose influence is told from noise (significance at least 0.95). "
            "Not with 'index_only'.",
            default=False,
        ),
    ]
    noise_sample: Annotated[
        int | None,
        Option(
            description="How many sequences, drawn at random, a search of candidates also scores to know the noise and "
            "what is told from it; one of the index in one direction scores up to as many again for each query. 0 "
            "scores none: hits then have neither signal nor significance.",
            unset="64",
            minimum=0,
            reason=Reason.INVALID_NOISE_SAMPLE,
        ),
    ]


class BatchOptions(AttributionOptions, total=False):
    """The options of a batch of rankings: keyword arguments of ``attribute_batch``."""

    query_rank: Annotated[
        int | None,
        Option(
            description="The rank that each layer's preconditioned query gradient is kept in; 0 keeps it whole. What "
            "that costs an answer is its truncation_error.",
            unset="whole, or 32 for more queries than the model's limits.max_queries",
            minimum=0,
            reason=Reason.INVALID_QUERY_RANK,
        ),
    ]


class GroupOptions(TypedDict, total=False):
    """The options of the influence of groups: keyword arguments of ``group_influence``."""

    group_by: Annotated[
        str,
        Option(
            description="What makes a group: 'source', 'document', or 'metadata.NAME' such as 'metadata.year' (of a "
            "list, each item).",
            default="source",
        ),
    ]
    samples: Annotated[
        int | None,
        Option(
            description="How many sequences to score exactly: more of them, sums nearer to those over all.",
            unset="the server's choice",
            minimum=1,
            reason=Reason.INVALID_SAMPLES,
        ),
    ]
    seed: Annotated[
        int,
        Option(description="Chooses the sample.", default=0, minimum=0, maximum=2**64 - 1, reason=Reason.INVALID_SEED),
    ]
    only: Only
    layers: Layers
    damping_factor: DampingFactor


@cache
def declared(kind: type) -> dict[str, Option]:
    """Return the options of a kind, by name."""
    return {name: hint.__metadata__[0] for name, hint in get_type_hints(kind, include_extras=True).items()}


def complete(kind: type, given: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return a value for every option of a kind. ``path`` leads to them from the request, as in ``options.``.

    Raises ``TypeError`` for an option that the kind does not have, and ``InvalidRequestError`` for one out of bounds.
    """
    options = declared(kind)
    for name in given:
        if name not in options:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
    values = {name: given.get(name, option.default) for name, option in options.items()}
    for name, option in options.items():
        option.check(f"{path}{name}", values[name])
    return values


def takes(kind: type) -> Callable[[Method], Method]:
    """Show a kind's options in the signature and the docstring of a method, in place of its ``**options``."""

    def decorate(method: Method) -> Method:
        method.__signature__ = _with_options(method, kind)  # type: ignore[attr-defined]
        described = (f"{name}: {option.description}" for name, option in declared(kind).items())
        method.__doc__ = f"{inspect.cleandoc(method.__doc__ or '')}\n\nOptions:\n\n" + "\n".join(described)
        return method

    return decorate


def _with_options(method: Callable[..., Any], kind: type) -> inspect.Signature:
    signature = inspect.signature(method)
    own = [value for value in signature.parameters.values() if value.kind is not inspect.Parameter.VAR_KEYWORD]
    types = get_type_hints(kind)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=types[name])
        for name, option in declared(kind).items()
    ]
    before = [value.name for value in own].index("model")  # then request_id and timeout_s
    return signature.replace(parameters=[*own[:before], *options, *own[before:]])
