"""What every engine refuses before it computes: sequences that its model cannot take."""

from __future__ import annotations

from collections.abc import Sequence

from whence.errors import InvalidRequestError
from whence_backends.contract import EngineInfo, TokenSequence


def require_valid(sequences: Sequence[TokenSequence], info: EngineInfo) -> None:
    """Raise ``SEQUENCE_TOO_LONG`` or ``BAD_TOKEN_ID`` for the first sequence that the model cannot take."""
    for sequence in sequences:
        ids = sequence.token_ids
        if len(ids) > info.max_tokens:
            raise InvalidRequestError(
                f"a sequence of {len(ids)} tokens; the model takes at most {info.max_tokens}",
                reason="SEQUENCE_TOO_LONG",
            )
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < info.vocabulary_size:
            raise InvalidRequestError(
                f"token ids from {int(ids.min())} to {int(ids.max())}; the vocabulary has 0 to "
                f"{info.vocabulary_size - 1}",
                reason="BAD_TOKEN_ID",
            )
