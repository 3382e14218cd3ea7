"""Chat templates, which render conversations as the model reads them, with a fixed date and so reproducibly."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.models.text.conversation import Conversation, Message

Span = tuple[int, int]

# The date given to templates that ask for today's: the one that Llama's templates fall back on.
DEFAULT_DATE: Final = "2024-07-26"

_PROBE: Final = "Vkq7"


@final
class ChatTemplate:
    """A Jinja template, run in the sandbox of ``transformers``. Threads may share it.

    ``source`` replaces the tokenizer's template. ``date``, such as 2024-07-26, is what ``strftime_now`` formats. Raises
    :class:`~whence.errors.InvalidRequestError`: ``MISSING_CHAT_TEMPLATE``, ``INVALID_CHAT_TEMPLATE``,
    ``INVALID_CHAT_DATE``.
    """

    def __init__(self, pretrained: Any, *, source: str | None = None, date: str = DEFAULT_DATE) -> None:  # noqa: ANN401
        self._pretrained = pretrained
        self._source = source
        self._now = _at_noon(date)
        self._variables: dict[str, Any] = {name: str(token) for name, token in pretrained.special_tokens_map.items()}
        self._lock = threading.Lock()  # transformers has one tracker of generation blocks per environment
        self._compiled: dict[str, Any] = {}
        self._forms: tuple[bool, bool] | None = None
        if not (source or pretrained.chat_template):
            raise InvalidRequestError(
                "the model's tokenizer has no chat template; send the conversation as prompt and completion",
                reason=Reason.MISSING_CHAT_TEMPLATE,
                field="messages",
            )
        self._compile(self._text_for(()))

    def write(self, conversation: Conversation, *, add_generation_prompt: bool = False) -> str:
        """Return the rendered conversation.

        Raises :class:`~whence.errors.InvalidRequestError` (``CHAT_TEMPLATE_FAILED``) if the template refuses it.
        """
        text, _ = self._write(conversation, add_generation_prompt=add_generation_prompt, tracked=False)
        return text

    def generation_blocks(self, conversation: Conversation) -> list[Span] | None:
        """Return the spans that the template itself marks as the assistant's, or ``None`` if it marks none."""
        if "endgeneration" not in self._text_for(conversation.tools):
            return None
        return self._write(conversation, add_generation_prompt=False, tracked=True)[1]

    def fitted(self, conversation: Conversation) -> Conversation:
        """Return the conversation in the form of which this template renders most.

        Parts of text are joined unless the template reads parts, and conversely. Null content is passed as a missing
        field, as empty text or as null, whichever makes the template render the message's tool calls. Arguments given
        as JSON text become an object if the template would quote them.
        """
        formed = self._with_content(conversation)
        forms = [form for given in self._null_forms(formed) for form in _argument_forms(given)]
        return forms[0] if len(forms) == 1 else min(forms, key=self._loss)

    def _with_content(self, conversation: Conversation) -> Conversation:
        reads_text, reads_parts = self._reads()
        messages = []
        for message in conversation.messages:
            content = message.get("content")
            if isinstance(content, list) and not reads_parts:
                message = {**message, "content": "".join(part["text"] for part in content)}
            elif isinstance(content, str) and not reads_text:
                message = {**message, "content": [{"type": "text", "text": content}]}
            messages.append(message)
        return _replaced(conversation, messages)

    def _reads(self) -> tuple[bool, bool]:
        """Return two flags: the template renders content that is text, and content that is parts."""
        if self._forms is None:
            shows_text, shows_parts = self._shows(_PROBE), self._shows([{"type": "text", "text": _PROBE}])
            self._forms = shows_text or not shows_parts, shows_parts
        return self._forms

    def _shows(self, content: Any) -> bool:  # noqa: ANN401
        roles = ("user", "assistant")
        messages = tuple({"role": role, "content": content} for role in roles)
        try:
            text = self.write(Conversation(messages=messages))
        except InvalidRequestError:
            return False
        return text.count(_PROBE) == len(roles) and "'text'" not in text  # a list in Python's notation

    def _null_forms(self, conversation: Conversation) -> list[Conversation]:
        """Return the conversation with null content as a missing field, as empty text, and as null."""
        if all("content" in message for message in conversation.messages):
            return [conversation]
        empty = "" if self._reads()[0] else [{"type": "text", "text": ""}]
        nothing: list[Message] = [{}, {"content": empty}, {"content": None}]
        return [
            _replaced(conversation, [{**filler, **message} for message in conversation.messages]) for filler in nothing
        ]

    def _loss(self, conversation: Conversation) -> int:
        """Return the number of defects in rendered tool calls: missing names, and quoted arguments."""
        names = [str(call.get("function", call).get("name", "")) for call in _calls(conversation.messages)]
        written = [text for message in conversation.messages for text in _written_arguments(message)]
        try:
            text = self.write(conversation)
        except InvalidRequestError:
            return 2 * len(names) + len(written) + 1
        quoted = sum(
            any(json.dumps(text_form, ensure_ascii=plain) in text for plain in (False, True)) for text_form in written
        )
        return 2 * sum(name not in text for name in names) + quoted

    def _text_for(self, tools: Sequence[Any]) -> str:
        if self._source:
            return self._source
        try:
            return str(self._pretrained.get_chat_template(tools=list(tools) or None))
        except ValueError as error:
            raise InvalidRequestError(
                f"the model's tokenizer has no chat template that can be chosen: {error}; give one when the corpus "
                "is made, with --chat-template",
                reason=Reason.MISSING_CHAT_TEMPLATE,
                field="messages",
            ) from error

    def _compile(self, text: str) -> Any:  # noqa: ANN401
        from jinja2 import TemplateError

        # Private, but as old as chat templates: the sandbox and its filters have no public name, and without them the
        # date cannot be fixed.
        from transformers.utils.chat_template_utils import _compile_jinja_template

        if text not in self._compiled:
            try:
                self._compiled[text] = _compile_jinja_template(text)
            except TemplateError as error:
                raise InvalidRequestError(
                    f"the chat template is not Jinja: {error}; give another one with --chat-template",
                    reason=Reason.INVALID_CHAT_TEMPLATE,
                    field="chat_template",
                ) from error
        return self._compiled[text]

    def _write(
        self, conversation: Conversation, *, add_generation_prompt: bool, tracked: bool
    ) -> tuple[str, list[Span]]:
        compiled = self._compile(self._text_for(conversation.tools))
        now = _at_noon(conversation.date) if conversation.date else self._now
        variables = {
            **self._variables,
            "strftime_now": now.strftime,
            **conversation.settings,
            "messages": [dict(message) for message in conversation.messages],
            "tools": list(conversation.tools) or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        blocks: list[str] = []
        spans: list[Span] = []
        try:
            with self._lock:
                if not tracked:
                    return str(compiled.render(variables)), spans
                with compiled.environment.activate_tracker(blocks, spans):
                    for block in compiled.generate(variables):
                        blocks.append(block)  # not extended: the tracker counts items  # noqa: PERF402
        except Exception as error:  # a template may raise any exception
            raise InvalidRequestError(
                f"the model's chat template refused the messages: {error}; check their roles and their order",
                reason=Reason.CHAT_TEMPLATE_FAILED,
                field="messages",
            ) from error
        return "".join(blocks), spans


def _at_noon(date: str) -> dt.datetime:
    try:
        return dt.datetime.combine(dt.date.fromisoformat(date), dt.time(12))
    except ValueError as error:
        raise InvalidRequestError(
            f"the date for chat templates is {date!r}; expected one such as {DEFAULT_DATE}",
            reason=Reason.INVALID_CHAT_DATE,
            field="chat_date",
        ) from error


def _argument_forms(conversation: Conversation) -> list[Conversation]:
    """Return the conversation unchanged, and with arguments given as JSON text parsed."""
    if not any(_written_arguments(message) for message in conversation.messages):
        return [conversation]
    parsed = [_with_parsed_arguments(message) for message in conversation.messages]
    return [conversation, _replaced(conversation, parsed)]


def _calls(messages: Sequence[Message]) -> list[Mapping[str, Any]]:
    return [call for message in messages for call in message.get("tool_calls", ())]


def _written_arguments(message: Message) -> list[str]:
    """Return the arguments of a message's tool calls that are given as JSON text of an object."""
    texts = []
    for call in message.get("tool_calls", ()):
        function = call.get("function", call)
        if isinstance(function, dict) and isinstance(_parsed(function.get("arguments")), dict):
            texts.append(str(function["arguments"]))
    return texts


def _with_parsed_arguments(message: Message) -> Message:
    if not _written_arguments(message):
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call.get("function", call)
        arguments = _parsed(function.get("arguments"))
        parsed = {**function, "arguments": arguments} if isinstance(arguments, dict) else function
        calls.append({**call, "function": parsed} if "function" in call else parsed)
    return {**message, "tool_calls": calls}


def _parsed(arguments: Any) -> Any:  # noqa: ANN401
    try:
        return json.loads(arguments) if isinstance(arguments, str) else None
    except (ValueError, RecursionError):
        return None


def _replaced(conversation: Conversation, messages: Sequence[Message]) -> Conversation:
    return replace(conversation, messages=tuple(messages))
