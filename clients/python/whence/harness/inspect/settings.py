"""The settings of the hook, which only the environment can give: inspect_ai passes hooks no arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from whence import _variables
from whence.errors import InvalidRequestError
from whence.harness.inspect.queries import PromptFormat
from whence.harness.inspect.scorer import check_format
from whence.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class HookSettings:
    """The settings of the hook. ``wait_s`` is how long the end of a task waits for answers that are still missing."""

    top_k: int = 5
    prompt_format: PromptFormat = "chat"
    max_calls: int = 2
    timeout_s: float = 60.0
    wait_s: float = 60.0

    @classmethod
    def from_environment(cls, given: Mapping[str, str] = os.environ) -> HookSettings:
        """Return the settings of ``WHENCE_INSPECT_…``.

        Raises ``InvalidRequestError`` (``INVALID_SETTINGS``) for a value that is none.
        """
        prompt_format = given.get(_variables.INSPECT_PROMPT_FORMAT) or cls.prompt_format
        check_format(prompt_format)
        return cls(
            top_k=round(_number(_variables.INSPECT_TOP_K, cls.top_k, given)),
            prompt_format=cast("PromptFormat", prompt_format),
            max_calls=max(1, round(_number(_variables.INSPECT_MAX_CALLS, cls.max_calls, given))),
            timeout_s=_number(_variables.INSPECT_TIMEOUT_S, cls.timeout_s, given),
            wait_s=_number(_variables.INSPECT_WAIT_S, cls.wait_s, given),
        )


def _number(name: str, default: float, given: Mapping[str, str]) -> float:
    text = given.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InvalidRequestError(
            f"{name} is {text!r}: it must be a number of at least 0", reason=Reason.INVALID_SETTINGS, field=name
        )
    return value
