"""The scorer ``whence/attribution``."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, get_args

from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState
from inspect_ai.tool import ToolDef
from inspect_ai.util import concurrency

from whence.errors import InvalidRequestError, WhenceError
from whence.harness.inspect.asking import Service, filter_of
from whence.harness.inspect.queries import PromptFormat, query_of
from whence.harness.inspect.scores import failure, score_of
from whence.reasons import Reason

# Scores by the samples' uuids that are known already, which the scorer then need not ask for.
KNOWN: ContextVar[Mapping[str, Score] | None] = ContextVar("known scores", default=None)
NAME: Final = "attribution"


@scorer(metrics=[mean(), stderr()], name=NAME)
def attribution(
    top_k: int = 10,
    only: dict[str, Any] | None = None,
    prompt_format: PromptFormat = "chat",
    server: str = "",
    model: str = "",
    timeout_s: float = 60.0,
    max_calls: int = 4,
) -> Scorer:
    """Score a sample by the signal, in nats, of the training sequence that its output owes most.

    A sample that cannot be attributed is left unscored, with the reason in its metadata; the evaluation goes on.

    Args:
      top_k: How many training sequences the score's metadata names (at most 50 are kept).
      only: The training sequences that count, as fields of ``whence.Filter``: ``{"sources": ["letters"]}``.
      prompt_format: ``chat`` applies the served model's chat template; ``text`` is for base models.
      server: The service; empty: that of ``WHENCE_SERVER``. Tokens and TLS are as the environment says.
      model: The served model; may be empty where only one is.
      timeout_s: How long an answer may take, retries included.
      max_calls: How many samples are attributed at a time.
    """
    check_format(prompt_format)
    service = Service(top_k=top_k, only=filter_of(only), server=server, model=model, timeout_s=timeout_s)

    async def score(state: TaskState, target: Target) -> Score:
        known = (KNOWN.get() or {}).get(state.uuid)
        if known is not None:
            return known
        try:
            query = query_of(state.messages, prompt_format, tools=_offered(state), query_id=str(state.sample_id))
            async with concurrency("whence", max_calls):
                return score_of(await service.attribute(query))
        except WhenceError as error:
            return failure(error)

    return score


def check_format(prompt_format: str) -> None:
    """Raise ``InvalidRequestError`` for a format that there is not."""
    if prompt_format not in get_args(PromptFormat):
        raise InvalidRequestError(
            f"prompt_format is {prompt_format!r}: expected one of {', '.join(get_args(PromptFormat))}",
            reason=Reason.INVALID_FIELD,
            field="prompt_format",
        )


def _offered(state: TaskState) -> list[dict[str, Any]]:
    """Return the tools that were offered to the model, as chat templates take them."""
    definitions = [ToolDef(tool) for tool in state.tools]
    return [
        {
            "type": "function",
            "function": {
                "name": definition.name,
                "description": definition.description,
                "parameters": definition.parameters.model_dump(exclude_none=True),
            },
        }
        for definition in definitions
    ]
