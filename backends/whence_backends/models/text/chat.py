"""Rendering conversations and locating each turn of the assistant in the text, exactly or not at all.

A turn is the text that changes if its message is given other words. If the beginning of the conversation is rendered as
it is within the whole, as by most templates, two shorter renderings locate the turn at less cost. A turn starts at the
end of the generation prompt and ends at the start of the next message's text: it includes the end-of-turn token, which
the model writes too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final, final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.models.text.chat_template import ChatTemplate, Span
from whence_backends.models.text.conversation import Conversation, Message
from whence_backends.models.text.message_parts import LostPart, held, in_other_words, missing, with_content

# A tag, such as a control token; and one that opens reasoning, at the end of a generation prompt.
_TAG: Final = re.compile(r"\s*(?:<[^<>\s]+>|\[[^\[\]\s]+\])")
_REASONING: Final = re.compile(r"<[^<>\s]*think[^<>\s]*>\s*$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RenderedChat:
    """A rendered conversation, with the ``spans`` of the characters that count, ascending and disjoint.

    ``lost`` lists content of the turns that count which the text lacks. ``tools_lost`` is true if tools were offered
    and the template renders none.
    """

    text: str
    spans: tuple[Span, ...]
    lost: tuple[LostPart, ...] = ()
    tools_lost: bool = False


# Probes: messages that any assistant could write.
_PLAIN: Final[Message] = {"role": "assistant", "content": ""}


@final
class ChatRenderer:
    """Renders conversations with one template. Threads may share it."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def render(self, conversation: Conversation, counted: Collection[int]) -> RenderedChat:
        """Render a conversation and locate the turns ``counted``: indices of messages of the assistant.

        Raises :class:`~whence.errors.InvalidRequestError`: ``CHAT_TEMPLATE_FAILED`` (the template refused the
        messages), ``AMBIGUOUS_TURNS`` (a turn cannot be told from its surroundings).
        """
        drawing = _Drawing(self._template, self._template.fitted(conversation))
        spans, lost = [], []
        for number in sorted(counted):
            span, parts = drawing.turn(number)
            spans.append(span)
            lost += parts
        blocks = self._template.generation_blocks(drawing.conversation)
        return RenderedChat(
            text=drawing.text,
            spans=tuple(_apart(spans if blocks is None else _marked(blocks, conversation, counted, spans))),
            lost=tuple(lost),
            tools_lost=drawing.tools_lost(),
        )

    def render_output(self, conversation: Conversation) -> RenderedChat:
        """Render a conversation and locate its last message, the assistant's, at the end of the text.

        Raises the errors of :meth:`render`, ``INVALID_LAST_ROLE``, and ``AMBIGUOUS_COMPLETION`` if the last message
        changes how earlier ones are rendered, so that the model did not read the text before it.
        """
        _require_output(conversation)
        last = len(conversation.messages) - 1
        drawing = _Drawing(self._template, self._template.fitted(conversation))
        prompt = drawing.prompt(last)
        if prompt is not None and not drawing.text.startswith(prompt):
            raise InvalidRequestError(
                "the chat template renders the earlier messages differently once the answer follows, so "
                "prompt and completion cannot be told apart; send them as text or token ids instead",
                reason=Reason.AMBIGUOUS_COMPLETION,
                field="messages",
            )
        (start, _), lost = drawing.turn(last)
        return RenderedChat(
            text=drawing.text,
            spans=((start, len(drawing.text)),),
            lost=tuple(lost),
            tools_lost=drawing.tools_lost(),
        )


@dataclass(frozen=True, kw_only=True)
class _Region:
    """The characters ``start`` to ``end`` that depend on a message, and the text after them, ``tail``."""

    start: int
    end: int
    tail: str


class _Drawing:
    """One rendered conversation and the regions of its messages. Each region is located once."""

    def __init__(self, template: ChatTemplate, conversation: Conversation) -> None:
        self._template = template
        self.conversation = conversation
        self._messages = conversation.messages
        self.text = template.write(conversation)
        self._words = _words(self.text)
        self._regions: dict[int, _Region | None] = {}

    def turn(self, number: int) -> tuple[Span, list[LostPart]]:
        """Return the span of a message's turn, and the parts that the rendering lost."""
        prompt, span = self.prompt(number), self._plain_turn(number)
        if span is not None:
            return span, []
        region = self._region(number)
        if region is None:  # the template leaves the message out
            nothing = (len(self.text), len(self.text))
            return nothing, missing(self._messages[number], "", number + 1)
        before, after = self._end_before(number), self._start_after(number)
        if not before <= region.start <= region.end <= after:
            raise _unclear(number)
        start = self._start(number, region, prompt, before)
        end = self._end(number, region)
        if not before <= start <= end <= after:
            raise _unclear(number)
        shown = self.text[before : max(end, region.end)]  # the beginning of a message may be the end of the prompt
        words = self.text[region.start : region.end]
        return (start, end), missing(self._messages[number], shown, number + 1, words=words)

    def prompt(self, number: int) -> str | None:
        """Return the text that the model read before it wrote a message, ``None`` if the template refuses it."""
        return self._written(self._messages[:number], add_generation_prompt=True)

    def tools_lost(self) -> bool:
        """Return true if tools were offered and the text is the same without them."""
        without = replace(self.conversation, tools=())
        return bool(self.conversation.tools) and self._template.write(without) == self.text

    def _plain_turn(self, number: int) -> Span | None:
        """Return the turn if renderings of the conversation's beginnings locate it reliably, else ``None``."""
        prompt, upto = self.prompt(number), self._upto(number)
        if prompt is None or upto is None or not (self.text.startswith(upto) and upto.startswith(prompt)):
            return None
        turn, texts = upto[len(prompt) :], held(self._messages[number])
        if not texts or missing(self._messages[number], turn, number + 1):
            return None
        words = texts[0].strip()
        if turn.lstrip().startswith(words):
            # Words that are there twice may be the beginning of the heading, such as "<" of "<assistant>".
            once = turn.find(words) == turn.rfind(words)
            return (len(prompt), len(upto)) if once or self._other_words_begin(number, len(prompt)) else None
        # If there is no generation prompt, the heading of the turn would be taken for the assistant's words.
        if len(texts[0]) >= 16 and prompt != self._written(self._messages[:number]):
            return len(prompt), len(upto)
        return None

    def _other_words_begin(self, number: int, start: int) -> bool:
        """Return whether other words of the message would begin at ``start`` too."""
        other = self._written([*self._messages[:number], self._others(number)[0]])
        return other is not None and other[start:].lstrip().startswith(self._words[0])

    def _upto(self, number: int) -> str | None:
        return self.text if number == len(self._messages) - 1 else self._written(self._messages[: number + 1])

    def _start(self, number: int, region: _Region, prompt: str | None, before: int) -> int:
        """Return the start of the model's text: the end of the generation prompt, else the message's first word."""
        headless = self._written(self._messages[:number])
        if prompt is None or prompt == headless:
            return self._behind_heading(number, region, before)
        if self.text.startswith(prompt) and len(prompt) <= region.end:
            return len(prompt)
        heading = prompt[len(headless) :] if headless is not None and prompt.startswith(headless) else ""
        for heading_form in (heading, _REASONING.sub("", heading)):
            if heading_form and (at := self.text.rfind(heading_form, before, region.start)) >= 0:
                return at + len(heading_form)
        return self._behind_heading(number, region, before)

    def _behind_heading(self, number: int, region: _Region, before: int) -> int:
        """Return the end of the heading common to all messages of the assistant, at most the message's first word.

        If a turn begins with other text than words, such as a tool call, it starts there.
        """
        plain = [self._written([*self._messages[:number], with_content(_PLAIN, word)]) for word in self._words]
        if plain[0] is None or plain[1] is None:
            return region.start
        heading = plain[0][: _common_prefix(plain[0], plain[1])]
        left = _common_prefix(heading, self.text)
        return min(left, region.start) if left >= before else region.start

    def _end(self, number: int, region: _Region) -> int:
        """Return the end of the turn, after the text that would follow its words if it were the last one."""
        if number == len(self._messages) - 1:
            return len(self.text)
        ends = [self._written([*self._messages[:number], other]) for other in self._others(number)]
        if ends[0] is None or ends[1] is None or ends[0] == ends[1]:
            return region.end
        alone = ends[0][len(ends[0]) - _common_suffix(*ends) :]  # type: ignore[arg-type]  # neither is None
        shared = _common_prefix(alone, region.tail)
        if shared < len(alone):  # the last turn ends differently: if both ends begin with a tag, it ends the turn
            tags = _TAG.match(region.tail), _TAG.match(alone)
            shared = tags[0].end() if tags[0] and tags[1] else 0
        end = len(self.text) - (len(region.tail) - shared)
        return end if self.text.endswith(region.tail[shared:]) else region.end

    def _region(self, number: int) -> _Region | None:
        if number not in self._regions:
            self._regions[number] = self._find_region(number)
        return self._regions[number]

    def _find_region(self, number: int) -> _Region | None:
        drawn = [self._with(number, other) for other in self._others(number)]
        if any(text is None for text in drawn):
            drawn = [self._with(number, with_content(self._messages[number], word)) for word in self._words]
        if drawn[0] is not None and drawn[0] == drawn[1]:  # perhaps the template renders only the names of called tools
            named = [in_other_words(self._messages[number], word, names=True) for word in self._words]
            drawn = [self._with(number, other) for other in named]
        first, second = drawn
        if first is None or second is None:
            raise _unclear(number)
        if first == second:
            return None
        tail = first[len(first) - _common_suffix(first, second) :]
        start = min(_common_prefix(first, second), _common_prefix(first, self.text), _common_prefix(second, self.text))
        shared = min(_common_suffix(first, self.text), _common_suffix(second, self.text), len(self.text) - start)
        if first.count(self._words[0]) > max(1, len(held(self._messages[number]))):
            raise _unclear(number)  # rendered twice
        return _Region(start=start, end=len(self.text) - min(shared, len(tail)), tail=tail)

    def _others(self, number: int) -> list[Message]:
        return [in_other_words(self._messages[number], word) for word in self._words]

    def _with(self, number: int, message: Message) -> str | None:
        return self._written([*self._messages[:number], message, *self._messages[number + 1 :]])

    def _end_before(self, number: int) -> int:
        regions = (self._region(other) for other in range(number - 1, -1, -1))
        return next((region.end for region in regions if region is not None), 0)

    def _start_after(self, number: int) -> int:
        regions = (self._region(other) for other in range(number + 1, len(self._messages)))
        return next((region.start for region in regions if region is not None), len(self.text))

    def _written(self, messages: Iterable[Message], *, add_generation_prompt: bool = False) -> str | None:
        shorter = replace(self.conversation, messages=tuple(messages))
        try:
            return self._template.write(shorter, add_generation_prompt=add_generation_prompt)
        except InvalidRequestError:
            return None


def _require_output(conversation: Conversation) -> None:
    messages = conversation.messages
    last_role = messages[-1]["role"] if messages else None
    if last_role != "assistant":
        got = f"its role is {last_role!r}" if messages else "there are no messages"
        raise InvalidRequestError(
            f"the last message must be the assistant's, whose output is attributed; {got}",
            reason=Reason.INVALID_LAST_ROLE,
            field="messages",
        )


def _unclear(number: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"the chat template writes message {number + 1} so that what belongs to it cannot be told from the rest "
        "(twice, or among other messages); send the conversation as prompt and completion",
        reason=Reason.AMBIGUOUS_TURNS,
        field="messages",
    )


def _words(text: str) -> tuple[str, str]:
    """Return two words that are not in the text and differ at both ends, in any case."""
    pairs = ((f"Jvk{number}xQm", f"Bw{number}hxTp") for number in count())
    return next(pair for pair in pairs if not any(word in text for word in pair))


def _common_prefix(first: str, second: str) -> int:
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def _common_suffix(first: str, second: str) -> int:
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        same = first[len(first) - middle : len(first) - low] == second[len(second) - middle : len(second) - low]
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in ascending order, without empty ones; adjacent spans are not merged."""
    return sorted(span for span in spans if span[0] < span[1])


def _marked(
    blocks: Sequence[Span], conversation: Conversation, counted: Collection[int], spans: Iterable[Span]
) -> Sequence[Span]:
    """Return those of the template's own marks that belong to the turns that count, by ``spans`` if necessary."""
    turns = conversation.assistant_turns
    if set(counted) == set(turns):
        return blocks
    if len(blocks) == len(turns):
        return [block for turn, block in zip(turns, blocks, strict=True) if turn in counted]
    return _common(spans, blocks)


def _common(spans: Iterable[Span], blocks: Iterable[Span]) -> list[Span]:
    pairs = ((max(a, c), min(b, d)) for a, b in spans for c, d in blocks)
    return [(start, end) for start, end in pairs if start < end]
