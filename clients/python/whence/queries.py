"""Queries: an output of the model with its context, as text, conversation or token ids."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence._messages import build
from whence.conversations import ChatInput, Message
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import query_pb2


@dataclass(frozen=True, kw_only=True)
class TextInput:
    """A context and the output that followed it, as text for the model's tokenizer."""

    prompt: str
    completion: str


@dataclass(frozen=True, kw_only=True)
class TokenInput:
    """Token ids exactly as the model sees them; the output starts at ``completion_start``."""

    ids: tuple[int, ...]
    completion_start: int


@dataclass(frozen=True, kw_only=True)
class Query:
    """An output to attribute. Make it with :meth:`text`, :meth:`chat` or :meth:`tokens`.

    The log-likelihood of the output given its context, in nats, is attributed. ``query_id`` is a label of the caller,
    repeated in the answer.
    """

    input: TextInput | ChatInput | TokenInput
    query_id: str = ""

    @classmethod
    def text(cls, prompt: str, completion: str, *, query_id: str = "") -> Query:
        """Return the query of ``completion`` after ``prompt``. Many completions begin with a space."""
        if not completion:
            raise InvalidRequestError(
                "the completion is empty: give the text whose origin you ask for",
                reason=Reason.EMPTY_COMPLETION,
                field="query.text.completion",
            )
        return cls(input=TextInput(prompt=prompt, completion=completion), query_id=query_id)

    @classmethod
    def chat(
        cls,
        messages: Iterable[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        date: str = "",
        strict: bool = False,
        query_id: str = "",
    ) -> Query:
        """Return the query of a conversation whose last message, the assistant's, is the output.

        ``messages`` are pairs of role and content, or mappings with ``role``, ``content`` (text, a list of text parts,
        or None beside tool calls) and any other field of the chat template (``tool_calls``, ``reasoning_content``).
        ``tools`` are those offered to the model, ``template_arguments`` further variables of the template, and
        ``date`` the current day for templates that use it (empty: that of the corpus). Where the template drops a part
        of the output, such as its reasoning, the answer has a warning; with ``strict`` the query is refused.
        """
        chat = ChatInput.of(
            messages,
            tools=tools,
            template_arguments=template_arguments,
            date=date,
            strict=strict,
            field="query.chat",
        )
        if not chat.messages or chat.messages[-1].role != "assistant":
            last = f"the last role is {chat.messages[-1].role!r}" if chat.messages else "there are no messages"
            raise InvalidRequestError(
                f"{last}: a conversation ends with the assistant's message, whose origin is asked for",
                reason=Reason.INVALID_LAST_ROLE if chat.messages else Reason.EMPTY_CONVERSATION,
                field="query.chat.messages",
            )
        return cls(input=chat, query_id=query_id)

    @classmethod
    def tokens(cls, ids: Sequence[int], completion_start: int, *, query_id: str = "") -> Query:
        """Return the query of token ids, of which those from ``completion_start`` on are the output.

        The first token has no context, so ``completion_start`` is at least 1.
        """
        numbers = _token_ids(ids)
        if not isinstance(completion_start, int) or not 1 <= completion_start < len(numbers):
            raise InvalidRequestError(
                f"completion_start is {completion_start!r} for {len(numbers)} token ids: "
                "it must be at least 1 and leave at least one token after it",
                reason=Reason.INVALID_COMPLETION_START,
                field="query.tokens.completion_start",
            )
        if min(numbers) < 0 or max(numbers) >= 2**32:
            raise InvalidRequestError(
                f"token ids from {min(numbers)} to {max(numbers)}: they must be the tokenizer's own",
                reason=Reason.INVALID_TOKEN_ID,
                field="query.tokens.ids",
            )
        return cls(input=TokenInput(ids=numbers, completion_start=completion_start), query_id=query_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the query as a row of a file of queries has it (docs/many.md): JSON's values, by name."""
        named = {"query_id": self.query_id} if self.query_id else {}
        match self.input:
            case TextInput(prompt=prompt, completion=completion):
                return {**named, "prompt": prompt, "completion": completion}
            case ChatInput() as chat:
                return {**named, **chat.to_dict()}
            case TokenInput(ids=ids, completion_start=start):
                return {**named, "token_ids": list(ids), "completion_start": start}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Query:
        """Return the query that :meth:`to_dict` made this of. Raises ``InvalidRequestError`` for what is no query."""
        makers: dict[str, Callable[..., Query]] = {
            "completion": cls.text,
            "messages": cls.chat,
            "token_ids": lambda token_ids, **others: cls.tokens(token_ids, **others),
        }
        maker = next((makers[name] for name in makers if name in fields), None)
        try:
            if maker is None:
                raise TypeError("it has neither completion nor messages nor token_ids")
            query = maker(**({"prompt": ""} if "completion" in fields else {}) | dict(fields))
        except TypeError as error:
            raise InvalidRequestError(
                f"this is no query: {error}; expected prompt and completion, messages, or token_ids and "
                "completion_start",
                reason=Reason.MISSING_QUERY_INPUT,
                field="query",
            ) from error
        query.to_proto()  # refuses texts that are none
        return query

    def to_proto(self) -> query_pb2.Query:
        """Return the message. Raises ``InvalidRequestError`` for text that is not Unicode."""
        proto = build(query_pb2.Query, "query", query_id=self.query_id)
        match self.input:
            case TextInput(prompt=prompt, completion=completion):
                text = build(query_pb2.PromptCompletion, "query.text", prompt=prompt, completion=completion)
                proto.text.CopyFrom(text)
            case ChatInput() as chat:
                proto.chat.CopyFrom(chat.to_proto("query.chat"))
            case TokenInput(ids=ids, completion_start=start):
                proto.tokens.CopyFrom(build(query_pb2.TokenIds, "query.tokens", ids=ids, completion_start=start))
        return proto


def _token_ids(ids: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, ids))
    except TypeError as error:
        raise InvalidRequestError(
            f"the token ids are {ids!r:.100}: they must be a list of whole numbers",
            reason=Reason.INVALID_TOKEN_ID,
            field="query.tokens.ids",
        ) from error
