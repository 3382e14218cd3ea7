"""Tokenization: from the message of a query to the tokens that are measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_pb2, query_pb2
from whence_backends.contract import TokenSequence
from whence_backends.corpus import ChatPolicy
from whence_backends.models.text.chat import ChatRenderer
from whence_backends.models.text.message_parts import held
from whence_backends.worker.requests.chats import conversation_of, warnings_of
from whence_backends.worker.requests.fields import located
from whence_service.rpc.bounds import RequestBounds, too_large_text

# Text has far fewer bytes a token: longer texts have too many tokens, and are not tokenized to find out.
_BYTES_PER_TOKEN: Final = 32
_FEWEST_BYTES: Final = 1 << 16

_MEASUREMENTS = (query_pb2.MEASUREMENT_UNSPECIFIED, query_pb2.MEASUREMENT_COMPLETION_LOG_LIKELIHOOD)


class TextTokenizer(Protocol):
    """The tokenizer of a model; see :class:`whence_backends.models.text.tokenizer.Tokenizer`."""

    def encode_query(self, prompt: str, completion: str, prefix_bos: bool) -> tuple[list[int], int]:
        """Return the ids, and the index of the first one of the completion."""
        ...

    def chat(self, *, template: str | None = None, date: str = "") -> ChatRenderer:
        """Return the renderer of conversations; raise where there is no chat template."""
        ...


@dataclass(frozen=True, kw_only=True)
class TokenizedQuery:
    """A query as the engine takes it, the number of tokens that are measured, and warnings for the caller."""

    tokens: TokenSequence
    completion_tokens: int
    warnings: tuple[attribution_pb2.Warning, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueryLimits:
    """The limits of a query: its tokens, its bytes as a message, and its token ids, below ``vocabulary_size``."""

    max_tokens: int
    vocabulary_size: int
    max_bytes: int = RequestBounds.max_text_bytes


def most_text_bytes(max_tokens: int, limit_bytes: int) -> int:
    """Return the longest text, in bytes, that is tokenized for a model whose sequences have up to ``max_tokens``."""
    return min(limit_bytes, max(_FEWEST_BYTES, _BYTES_PER_TOKEN * max_tokens))


class QueryTokenizer:
    """Turns queries into tokens. Stateless.

    Conversations are rendered by the policy ``chat``, as those of the corpus were.
    """

    def __init__(
        self, tokenizer: TextTokenizer, limits: QueryLimits, *, prefix_bos: bool, chat: ChatPolicy | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._chat_policy = chat or ChatPolicy()
        self._limits = limits
        self._prefix_bos = prefix_bos

    def tokenize(self, query: query_pb2.Query, field: str) -> TokenizedQuery:
        """Return the tokens of ``query``, which is the ``field`` of its request.

        Raises :class:`~whence.errors.InvalidRequestError` with the path of the field to change. The size is checked
        first, because tokenizing takes about a hundred times the memory of the text.
        """
        size = query.ByteSize()
        if size > self._limits.max_bytes:
            raise too_large_text(field, size, self._limits.max_bytes)
        if query.measurement not in _MEASUREMENTS:
            raise InvalidRequestError(
                f"measurement {query.measurement} is not known to this server; expected "
                "MEASUREMENT_COMPLETION_LOG_LIKELIHOOD",
                reason=Reason.UNKNOWN_MEASUREMENT,
                field=f"{field}.measurement",
            )
        match query.WhichOneof("input"):
            case "text":
                return self._text(query.text.prompt, query.text.completion, f"{field}.text.completion")
            case "chat":
                return self._chat(query.chat, f"{field}.chat")
            case "tokens":
                return self._ids(query.tokens, f"{field}.tokens")
        raise InvalidRequestError(
            "the query has no input; set one of text, chat and tokens", reason=Reason.MISSING_QUERY_INPUT, field=field
        )

    def _text(self, prompt: str, completion: str, field: str) -> TokenizedQuery:
        if not completion:
            raise _empty_completion(field)
        # Without a prompt the completion still needs a context: the bos token, as in unprompted sampling.
        ids, start = self._tokenizer.encode_query(prompt, completion, self._prefix_bos or not prompt)
        return self._build(ids, start, field)

    def _chat(self, chat: query_pb2.Chat, field: str) -> TokenizedQuery:
        try:
            rendered = self._renderer.render_output(conversation := conversation_of(chat, field))
        except InvalidRequestError as error:
            if error.field.startswith(field):
                raise
            raise located(error, f"{field}.messages") from error
        last = f"{field}.messages[{len(chat.messages) - 1}].content"
        if not held(conversation.messages[-1]):
            raise _empty_completion(last)
        warnings, ((start, _),) = warnings_of(rendered, chat, field), rendered.spans
        # The template writes the beginning of the text itself, bos token included.
        ids, first = self._tokenizer.encode_query(rendered.text[:start], rendered.text[start:], False)
        return replace(self._build(ids, first, last), warnings=warnings)

    @cached_property
    def _renderer(self) -> ChatRenderer:
        return self._tokenizer.chat(template=self._chat_policy.template, date=self._chat_policy.date)

    def _ids(self, tokens: query_pb2.TokenIds, field: str) -> TokenizedQuery:
        ids, start = list(tokens.ids), tokens.completion_start
        for position, token in enumerate(ids):
            if token >= self._limits.vocabulary_size:
                raise InvalidRequestError(
                    f"token id {token} at position {position} is not in the vocabulary; expected less than "
                    f"{self._limits.vocabulary_size}. Use the ids of this model's own tokenizer",
                    reason=Reason.INVALID_TOKEN_ID,
                    field=f"{field}.ids[{position}]",
                    token_id=token,
                    vocabulary_size=self._limits.vocabulary_size,
                )
        if start == 0 and ids:
            raise _no_context(f"{field}.completion_start")
        return self._build(ids, start, field if not ids else f"{field}.completion_start", whole=f"{field}.ids")

    def _build(self, ids: list[int], start: int, field: str, *, whole: str = "") -> TokenizedQuery:
        if len(ids) > self._limits.max_tokens:
            raise InvalidRequestError(
                f"the query has {len(ids)} tokens, its context included; expected at most "
                f"{self._limits.max_tokens}. Shorten the prompt",
                reason=Reason.TOO_LONG_QUERY,
                field=whole or field,
                tokens=len(ids),
                limit=self._limits.max_tokens,
            )
        if start >= len(ids):
            raise _empty_completion(field)
        if start == 0:
            raise _no_context(field)
        weights = np.zeros(len(ids), dtype=np.float32)
        weights[start:] = 1.0
        tokens = TokenSequence(token_ids=np.asarray(ids, dtype=np.int32), weights=weights)
        return TokenizedQuery(tokens=tokens, completion_tokens=len(ids) - start)


def _empty_completion(field: str) -> InvalidRequestError:
    return InvalidRequestError(
        "the completion has no token; expected the output that is to be attributed, at least one token of it",
        reason=Reason.EMPTY_COMPLETION,
        field=field,
    )


def _no_context(field: str) -> InvalidRequestError:
    return InvalidRequestError(
        "the completion begins at the first token, whose probability depends on nothing before it; give a "
        "prompt, or token ids that begin with the model's bos token",
        reason=Reason.MISSING_CONTEXT,
        field=field,
    )
