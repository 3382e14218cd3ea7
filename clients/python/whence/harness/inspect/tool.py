"""The tool ``whence/training_sequences``, by which an agent asks where a text came from."""

from __future__ import annotations

from typing import Any

from inspect_ai.tool import Tool, ToolError, tool

from whence.errors import WhenceError
from whence.harness.inspect.asking import Service, filter_of
from whence.harness.inspect.tables import plain
from whence.queries import Query


@tool
def training_sequences(
    top_k: int = 5,
    only: dict[str, Any] | None = None,
    server: str = "",
    model: str = "",
    timeout_s: float = 60.0,
) -> Tool:
    """Return the tool; its arguments are those of the scorer.

    A service that is down is an error of the tool, which the agent sees, and not of the evaluation.
    """
    service = Service(top_k=top_k, only=filter_of(only), server=server, model=model, timeout_s=timeout_s)

    async def execute(completion: str, prompt: str = "") -> str:
        """Find the training sequences that made an output of the served model more likely, most influential first.

        Args:
          completion: The output whose origin is asked for, word by word.
          prompt: The text that the output followed.

        Returns:
          A table of training sequences, with influences in nats.
        """
        try:
            answer = await service.attribute(Query.text(prompt, completion))
        except WhenceError as error:
            raise ToolError(f"not attributed: {error.message}") from error
        return plain(answer)

    return execute
