"""Conversations in rows: the turns that the model was trained on, and the rendered text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, get_args

from whence.errors import InvalidRequestError
from whence.reasons import Reason, WarningCode
from whence_backends.models.text.chat import ChatRenderer, RenderedChat
from whence_backends.models.text.chat_template import DEFAULT_DATE, Span
from whence_backends.models.text.conversation import (
    ASSISTANT,
    Conversation,
    ConversationError,
    Message,
    is_sharegpt,
    parse_conversation,
)
from whence_backends.models.text.tokenizer import Tokenizer

TrainOn = Literal["all-assistant", "last", "mask-field"]

# The remarks in a report on conversations that are in the corpus but were changed by their rendering.
NOTICES: Final[dict[str, str]] = {
    WarningCode.LOST_TURNS: "lost part of a turn that counts, which the chat template does not show",
    WarningCode.LOST_TOOLS: "offer tools, of which the chat template shows nothing",
    WarningCode.UNUSED_MASKS: "have marks that exclude turns, and these count all the same (see --train-on mask-field)",
}
_MARKS: Final = ("weight", "train")
_BESIDE: Final = ("tools", "system", "chat_template_kwargs")


@dataclass(frozen=True, kw_only=True)
class ChatPolicy:
    """The rule for which turns of a conversation count as trained on, and the template that renders it.

    ``train_on`` is ``all-assistant`` (every turn of the assistant), ``last`` (its last turn) or ``mask-field`` (turns
    whose message has 1, true or no value as ``mask_field``). ``template`` replaces the tokenizer's chat template;
    ``date`` is the date given to templates that ask for today's. Raises :class:`~whence.errors.InvalidRequestError`
    (``UNKNOWN_TRAIN_ON``).
    """

    train_on: TrainOn = "all-assistant"
    mask_field: str = "weight"
    template: str | None = None
    date: str = DEFAULT_DATE

    def __post_init__(self) -> None:
        if self.train_on not in get_args(TrainOn):
            raise InvalidRequestError(
                f"train_on is {self.train_on!r}; expected one of {', '.join(get_args(TrainOn))}",
                reason=Reason.UNKNOWN_TRAIN_ON,
                field="train_on",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON, for a manifest."""
        return asdict(self)

    def renderer(self, tokenizer: Tokenizer) -> ChatRenderer:
        """Return the renderer of conversations. Raises if there is no chat template or the date is invalid."""
        return tokenizer.chat(template=self.template, date=self.date)

    def counted(self, conversation: Conversation) -> tuple[int, ...]:
        """Return the indices of the messages that count. Raises :class:`ConversationError` if there are none."""
        turns = conversation.assistant_turns
        if not turns:
            roles = ", ".join(dict.fromkeys(message["role"] for message in conversation.messages))
            raise ConversationError(
                f"has no turn of the assistant (its roles are {roles}); the last message must be the assistant's, or "
                "one before it"
            )
        if self.train_on == "last":
            return turns[-1:]
        if self.train_on == "mask-field":
            marked = [number for number, message in enumerate(conversation.messages) if self._counts(number, message)]
            if not marked:
                raise ConversationError(f"has no turn that {self.mask_field!r} marks as trained on")
            return tuple(marked)
        return turns

    def _counts(self, number: int, message: Message) -> bool:
        is_assistant = message["role"] == ASSISTANT
        mark = message.get(self.mask_field, is_assistant)
        if mark not in (0, 1):  # also False and True
            raise ConversationError(f"has {mark!r} as {self.mask_field!r} of message {number + 1}; expected 0 or 1")
        if mark and not is_assistant:
            raise ConversationError(
                f"marks message {number + 1} ({message['role']}) as trained on; only the assistant's turns can be"
            )
        return bool(mark)


@dataclass(frozen=True, kw_only=True)
class ChatText:
    """A rendered conversation: its text, the spans of characters that count, and remarks by kind of notice."""

    text: str
    spans: tuple[Span, ...]
    notices: Mapping[str, str] = field(default_factory=dict)


class ChatRows:
    """Finds the conversations in rows and renders them. Its only state is the renderer, made when first needed."""

    def __init__(self, policy: ChatPolicy, tokenizer: Tokenizer) -> None:
        self._policy = policy
        self._tokenizer = tokenizer

    def of_messages(self, columns: Mapping[str, Any], name: str) -> ChatText:
        """Return the conversation in a column. Raises :class:`ConversationError`."""
        value = columns.get(name)
        if not isinstance(value, list | str) or not value:
            raise ConversationError(f"has no list of messages as {name!r}")
        return self._render(self._parse(columns, value, name), first=0)

    def of_prompt_and_completion(self, columns: Mapping[str, Any], prompt: str, completion: str) -> ChatText | None:
        """Return the conversation that two columns hold the beginning and the end of, or ``None`` if they hold texts.

        Only turns of the completion count. Raises :class:`ConversationError`.
        """
        before, after = columns.get(prompt), columns.get(completion)
        if not isinstance(before, list):
            return None
        ending = [{"role": ASSISTANT, "content": after}] if isinstance(after, str) else after
        if not isinstance(ending, list) or not ending:
            raise ConversationError(f"has no list of messages as {completion!r}")
        conversation = self._parse(columns, [*before, *ending], prompt)
        return self._render(conversation, first=len(conversation.messages) - len(ending))

    def _parse(self, columns: Mapping[str, Any], messages: Any, name: str) -> Conversation:  # noqa: ANN401
        return parse_conversation(
            messages,
            name=name,
            tools=columns.get("tools"),
            system=columns.get("system") if is_sharegpt(messages) else None,
            settings=columns.get("chat_template_kwargs"),
        )

    def _render(self, conversation: Conversation, *, first: int) -> ChatText:
        counted = [number for number in self._policy.counted(conversation) if number >= first]
        if not counted:
            raise ConversationError("has no turn of the assistant in its completion")
        try:
            rendered = self._renderer.render(conversation, counted)
        except InvalidRequestError as error:
            raise ConversationError(f"cannot be rendered: {error}") from error
        if not rendered.spans and not rendered.lost:
            raise ConversationError("has no character that the chat template marks as the assistant's")
        if not rendered.spans:
            raise ConversationError(f"cannot be rendered: the chat template leaves out {_listed(rendered.lost)}")
        return ChatText(text=rendered.text, spans=rendered.spans, notices=_notices(rendered, conversation, counted))

    @cached_property
    def _renderer(self) -> ChatRenderer:
        return self._policy.renderer(self._tokenizer)


def columns_beside(messages: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the columns that are rendered in addition to the messages."""
    return _BESIDE if is_sharegpt(messages) else tuple(name for name in _BESIDE if name != "system")


def without_nulls(value: Any) -> Any:  # noqa: ANN401
    """Return a value of a table without null fields, which tables add because other rows have them."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None or key == "content"}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _notices(rendered: RenderedChat, conversation: Conversation, counted: Sequence[int]) -> dict[str, str]:
    notices: dict[str, str] = {}
    if rendered.lost:
        notices[WarningCode.LOST_TURNS] = _listed(rendered.lost)
    if rendered.tools_lost:
        notices[WarningCode.LOST_TOOLS] = f"{len(conversation.tools)} tools"
    unmarked = [
        f"message {number + 1} has {mark!r}: {conversation.messages[number][mark]!r}"
        for number in counted
        for mark in _MARKS
        if conversation.messages[number].get(mark, 1) in (0, False)
    ]
    if unmarked:
        notices[WarningCode.UNUSED_MASKS] = unmarked[0]
    return notices


def _listed(parts: Sequence[object], most: int = 3) -> str:
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(map(str, parts[:most])) + more
