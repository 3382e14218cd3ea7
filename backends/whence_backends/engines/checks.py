"""The checks of every engine: unknown options, and sequences that its model cannot process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import EngineInfo, TokenSequence


def require_known_options(engine: str, options: Mapping[str, str], known: Mapping[str, str] | None = None) -> None:
    """Raise ``INVALID_ENGINE_OPTION`` for an option that is not in ``known``, which describes each option."""
    for name in options:
        if name not in (known or {}):
            listed = "; ".join(f"{key} ({text})" for key, text in (known or {}).items())
            raise InvalidRequestError(
                f"the engine {engine} has no option {name!r}; expected {f'some of: {listed}' if listed else 'none'}",
                reason=Reason.INVALID_ENGINE_OPTION,
                field="engine_options",
            )


def require_valid(sequences: Sequence[TokenSequence], info: EngineInfo) -> None:
    """Raise ``TOO_LONG_SEQUENCE`` or ``INVALID_TOKEN_ID`` for the first sequence that the model cannot process."""
    for sequence in sequences:
        ids = sequence.token_ids
        if len(ids) > info.max_tokens:
            raise InvalidRequestError(
                f"a sequence of {len(ids)} tokens; the model takes at most {info.max_tokens}",
                reason=Reason.TOO_LONG_SEQUENCE,
            )
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < info.vocabulary_size:
            raise InvalidRequestError(
                f"token ids from {int(ids.min())} to {int(ids.max())}; the vocabulary has 0 to "
                f"{info.vocabulary_size - 1}: "
                "leave out of the text what only the tokenizer knows, or give ids of this model's own",
                reason=Reason.INVALID_TOKEN_ID,
            )
