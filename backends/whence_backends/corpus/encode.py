"""Any text, tokenized as the corpus was, so that it can be scored as if it were a training sequence."""

from __future__ import annotations

import numpy as np

from whence.errors import InvalidRequestError
from whence_backends.corpus.chunking import ChunkPolicy, TokenizedDocument, chunk, frame, is_worth_keeping
from whence_backends.corpus.shard import SequenceRecord
from whence_backends.models.tokenizer import Tokenizer


def special_tokens(tokenizer: Tokenizer, policy: ChunkPolicy) -> dict[str, int | None]:
    """Return the ``bos_id`` and ``eos_id`` to put around each document, ``None`` where the policy wants none.

    Raises :class:`~whence.errors.InvalidRequestError` where the policy wants a token that the tokenizer
    lacks.
    """
    wanted = {"bos_id": policy.bos, "eos_id": policy.eos}
    found = {"bos_id": tokenizer.bos_id, "eos_id": tokenizer.eos_id}
    for name, is_wanted in wanted.items():
        if is_wanted and found[name] is None:
            token = name.removesuffix("_id")
            raise InvalidRequestError(
                f"the chunk policy asks for {token}, but the model's tokenizer has none; leave it out",
                reason="TOKENIZER_HAS_NO_SPECIAL_TOKEN",
                field=token,
            )
    return {name: found[name] if is_wanted else None for name, is_wanted in wanted.items()}


def encode_text(text: str, tokenizer: Tokenizer, policy: ChunkPolicy) -> SequenceRecord:
    """Return a text as the training sequence it would be, had it been a document of the corpus.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``SEQUENCE_TOO_LONG`` where the corpus
    would have cut it, and ``SEQUENCE_TOO_SHORT`` where the corpus would have left it out.
    """
    document = frame(_tokenize(text, tokenizer), **special_tokens(tokenizer, policy))
    tokens = len(document.token_ids)
    if tokens > policy.max_tokens:
        raise InvalidRequestError(
            f"the text has {tokens} tokens; a sequence of this corpus has at most {policy.max_tokens}: "
            "shorten it or send it in parts",
            reason="SEQUENCE_TOO_LONG",
            field="text",
        )
    sequence = next(chunk([document], policy), None)
    if sequence is None or not is_worth_keeping(sequence, policy):
        raise InvalidRequestError(
            f"the text has {tokens} tokens; a sequence of this corpus has at least "
            f"{max(policy.min_tokens, 2)}: send a longer one",
            reason="SEQUENCE_TOO_SHORT",
            field="text",
        )
    return SequenceRecord(
        position=-1,
        shard="",
        sequence_id="",
        document_id="",
        source="",
        text=sequence.text,
        metadata={},
        token_ids=sequence.token_ids,
        weights=sequence.weights,
        offsets=sequence.offsets,
    )


def _tokenize(text: str, tokenizer: Tokenizer) -> TokenizedDocument:
    ids, offsets = tokenizer.encode(text)
    return TokenizedDocument(
        document_id="",
        source="",
        text=text,
        metadata={},
        token_ids=np.array(ids, np.int32),
        offsets=np.array(offsets, np.int32).reshape(-1, 2),
        weights=np.ones(len(ids), np.float32),
    )
