"""Encoding a caller's text as the corpus was encoded, so that it can be scored as a training sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.chats import ChatPolicy
from whence_backends.corpus.chunking import ChunkPolicy, TokenizedDocument, chunk, frame, is_worth_keeping
from whence_backends.corpus.shard import SequenceRecord
from whence_backends.models.text.chat import ChatRenderer, RenderedChat
from whence_backends.models.text.chat_template import Span
from whence_backends.models.text.conversation import Conversation, ConversationError
from whence_backends.models.text.tokenizer import Tokenizer, overlapping


def special_tokens(tokenizer: Tokenizer, policy: ChunkPolicy) -> dict[str, int | None]:
    """Return the ``bos_id`` and ``eos_id`` to add to each document, ``None`` if the policy adds none.

    Raises :class:`~whence.errors.InvalidRequestError` if the tokenizer lacks a token that the policy adds.
    """
    wanted = {"bos_id": policy.bos, "eos_id": policy.eos}
    available = {"bos_id": tokenizer.bos_id, "eos_id": tokenizer.eos_id}
    for name, is_wanted in wanted.items():
        if is_wanted and available[name] is None:
            token = name.removesuffix("_id")
            raise InvalidRequestError(
                f"the chunk policy asks for {token}, but the model's tokenizer has none; leave it out",
                reason=Reason.MISSING_SPECIAL_TOKEN,
                field=token,
            )
    return {name: available[name] if is_wanted else None for name, is_wanted in wanted.items()}


class SequenceEncoder:
    """Encodes texts and conversations of callers as the corpus encodes its documents. Stateless.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``TOO_LONG_SEQUENCE`` for an input that the corpus
    would cut into several sequences, and ``TOO_SHORT_SEQUENCE`` for one that it would leave out.
    """

    def __init__(self, tokenizer: Tokenizer, policy: ChunkPolicy, chat: ChatPolicy | None = None) -> None:
        self._tokenizer = tokenizer
        self._policy = policy
        self._chat = chat or ChatPolicy()
        self._specials = special_tokens(tokenizer, policy)

    def text(self, text: str) -> SequenceRecord:
        """Return the sequence of a text of which every token was trained on."""
        return self._record(text, ((0, len(text) + 1),))  # including a token after the last character

    def completion(self, prompt: str, completion: str) -> SequenceRecord:
        """Return the sequence of a prompt, which is context, and its completion, which was trained on."""
        return self._record(prompt + completion, ((len(prompt), len(prompt) + len(completion)),))

    def chat(self, conversation: Conversation, marks: Mapping[int, bool]) -> tuple[SequenceRecord, RenderedChat]:
        """Return the sequence of a conversation, and its rendering.

        The same turns count as in the corpus, except those whose index is in ``marks``, which decides for them. Raises
        ``INVALID_CONVERSATION``, and the errors of
        :meth:`~whence_backends.models.text.chat.ChatRenderer.render`.
        """
        if (
            len(conversation.messages) > self._policy.max_tokens
        ):  # each message is at least one token, and costs two renderings
            raise self._too_long(f"{len(conversation.messages)} messages")
        rendered = self._renderer.render(conversation, self._counted(conversation, marks))
        return self._record(rendered.text, rendered.spans, templated=True), rendered

    def _counted(self, conversation: Conversation, marks: Mapping[int, bool]) -> list[int]:
        turns = conversation.assistant_turns
        if not set(marks) <= set(turns):
            raise _no_conversation("marks a message as trained on, or not, that is not the assistant's")
        try:
            usual = () if len(marks) == len(turns) and turns else self._chat.counted(conversation)
        except ConversationError as error:
            raise _no_conversation(str(error)) from error
        counted = [number for number in turns if marks.get(number, number in usual)]
        if not counted:
            raise _no_conversation("has no turn that was trained on")
        return counted

    @cached_property
    def _renderer(self) -> ChatRenderer:
        return self._chat.renderer(self._tokenizer)

    def _record(self, text: str, spans: Sequence[Span], *, templated: bool = False) -> SequenceRecord:
        ids, offsets = self._tokenizer.encode(text)
        document = TokenizedDocument(
            document_id="",
            source="",
            text=text,
            metadata={},
            token_ids=np.array(ids, np.int32),
            offsets=np.array(offsets, np.int32).reshape(-1, 2),
            weights=overlapping(offsets, spans).astype(np.float32),
            templated=templated,
        )
        framed = frame(document, **self._specials)
        tokens = len(framed.token_ids)
        if tokens > self._policy.max_tokens:
            raise self._too_long(f"{tokens} tokens")
        sequence = next(chunk([framed], self._policy), None)
        if sequence is None or not is_worth_keeping(sequence, self._policy):
            raise InvalidRequestError(
                f"the text has {tokens} tokens; a sequence of this corpus has at least "
                f"{max(self._policy.min_tokens, 2)}, one of them trained on: send a longer one",
                reason=Reason.TOO_SHORT_SEQUENCE,
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

    def _too_long(self, got: str) -> InvalidRequestError:
        return InvalidRequestError(
            f"the text has {got}; a sequence of this corpus has at most {self._policy.max_tokens} tokens: "
            "shorten it or send it in parts",
            reason=Reason.TOO_LONG_SEQUENCE,
            field="text",
        )


def encode_text(text: str, tokenizer: Tokenizer, policy: ChunkPolicy) -> SequenceRecord:
    """Return a text as a training sequence. Raises the errors of :class:`SequenceEncoder`."""
    return SequenceEncoder(tokenizer, policy).text(text)


def _no_conversation(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"the conversation {why}", reason=Reason.INVALID_CONVERSATION, field="messages")
