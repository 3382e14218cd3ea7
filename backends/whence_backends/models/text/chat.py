"""Conversations rendered, with the place of each assistant's turn in the text: exact, or refused.

A turn's place is what changes when other words are put into its message. Where the conversation up to the turn is
rendered as it is within the whole, as by most templates, two shorter renderings tell the same for less. A turn begins
where the generation prompt ends and ends where the next message's text begins: so the end-of-turn token, which the
model writes too, is in it.
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

# A tag, such as a control token; and one that begins reasoning, at the end of a prompt for an answer.
_TAG: Final = re.compile(r"\s*(?:<[^<>\s]+>|\[[^\[\]\s]+\])")
_REASONING: Final = re.compile(r"<[^<>\s]*think[^<>\s]*>\s*$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RenderedChat:
    """A conversation as text, and the ``spans`` of its characters that count, ascending and apart.

    ``lost`` is what the turns that count hold and the text does not show; ``tools_lost``: tools were offered, and the
    template shows none.
    """

    text: str
    spans: tuple[Span, ...]
    lost: tuple[LostPart, ...] = ()
    tools_lost: bool = False


# What any message of the assistant may be.
_PLAIN: Final[Message] = {"role": "assistant", "content": ""}


@final
class ChatRenderer:
    """Renders conversations with one template. Threads may share it."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def render(self, conversation: Conversation, counted: Collection[int]) -> RenderedChat:
        """Return the conversation with the places of the messages ``counted`` from 0, all of them the assistant's.

        Raises :class:`~whence.errors.InvalidRequestError`: ``CHAT_TEMPLATE_FAILED`` (the template refused the
        messages), ``AMBIGUOUS_TURNS`` (what belongs to a turn cannot be told).
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
        """Return the conversation with the place of its last message, the assistant's, at the end of the text.

        Raises as :meth:`render` does, and ``INVALID_LAST_ROLE``, and ``AMBIGUOUS_COMPLETION`` where the
        last message changes how earlier ones are rendered: then it did not follow the text before it.
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
    """The characters ``start`` to ``end`` that depend on a message; ``tail`` is what follows them."""

    start: int
    end: int
    tail: str


class _Drawing:
    """One rendered conversation, and where its messages are in it. Each region is looked for once."""

    def __init__(self, template: ChatTemplate, conversation: Conversation) -> None:
        self._template = template
        self.conversation = conversation
        self._messages = conversation.messages
        self.text = template.write(conversation)
        self._words = _words(self.text)
        self._regions: dict[int, _Region | None] = {}

    def turn(self, number: int) -> tuple[Span, list[LostPart]]:
        """Return a message's turn, and what it lost."""
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
        shown = self.text[before : max(end, region.end)]  # what a message begins with may be the prompt's end
        words = self.text[region.start : region.end]
        return (start, end), missing(self._messages[number], shown, number + 1, words=words)

    def prompt(self, number: int) -> str | None:
        """Return what the model read before it wrote a message, ``None`` where the template refuses that."""
        return self._written(self._messages[:number], add_generation_prompt=True)

    def tools_lost(self) -> bool:
        """Return whether tools were offered and the text is the same without them."""
        without = replace(self.conversation, tools=())
        return bool(self.conversation.tools) and self._template.write(without) == self.text

    def _plain_turn(self, number: int) -> Span | None:
        """Return the turn where renderings of the conversation's beginnings show it beyond doubt."""
        prompt, upto = self.prompt(number), self._upto(number)
        if prompt is None or upto is None or not (self.text.startswith(upto) and upto.startswith(prompt)):
            return None
        turn, texts = upto[len(prompt) :], held(self._messages[number])
        if not texts or missing(self._messages[number], turn, number + 1):
            return None
        begins_with_it = turn.lstrip().startswith(texts[0].strip())
        # Behind a generation prompt that is none, the turn's heading would be taken for the assistant's words.
        if begins_with_it or (len(texts[0]) >= 16 and prompt != self._written(self._messages[:number])):
            return len(prompt), len(upto)
        return None

    def _upto(self, number: int) -> str | None:
        return self.text if number == len(self._messages) - 1 else self._written(self._messages[: number + 1])

    def _start(self, number: int, region: _Region, prompt: str | None, before: int) -> int:
        """Return where the model began to write: behind the generation prompt, else where the message's words are."""
        headless = self._written(self._messages[:number])
        if prompt is None or prompt == headless:
            return self._behind_heading(number, region, before)
        if self.text.startswith(prompt) and len(prompt) <= region.end:
            return len(prompt)
        heading = prompt[len(headless) :] if headless is not None and prompt.startswith(headless) else ""
        for one in (heading, _REASONING.sub("", heading)):
            if one and (found := self.text.rfind(one, before, region.start)) >= 0:
                return found + len(one)
        return self._behind_heading(number, region, before)

    def _behind_heading(self, number: int, region: _Region, before: int) -> int:
        """Return where a message leaves what any message of the assistant begins with there, at its words at latest.

        A turn that begins with something else than words, as a call of a tool does, is the model's from there on.
        """
        plain = [self._written([*self._messages[:number], with_content(_PLAIN, word)]) for word in self._words]
        if plain[0] is None or plain[1] is None:
            return region.start
        heading = plain[0][: _common_prefix(plain[0], plain[1])]
        left = _common_prefix(heading, self.text)
        return min(left, region.start) if left >= before else region.start

    def _end(self, number: int, region: _Region) -> int:
        """Return where the turn ends: behind what follows its words also where it is the last one."""
        if number == len(self._messages) - 1:
            return len(self.text)
        ends = [self._written([*self._messages[:number], other]) for other in self._others(number)]
        if ends[0] is None or ends[1] is None or ends[0] == ends[1]:
            return region.end
        alone = ends[0][len(ends[0]) - _common_suffix(*ends) :]  # type: ignore[arg-type]  # neither is None
        shared = _common_prefix(alone, region.tail)
        if shared < len(alone):  # the last turn ends otherwise: where both end with a tag, it is the turn's end
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
        if drawn[0] is not None and drawn[0] == drawn[1]:  # perhaps it shows the names of called tools alone
            named = [in_other_words(self._messages[number], word, names=True) for word in self._words]
            drawn = [self._with(number, other) for other in named]
        one, two = drawn
        if one is None or two is None:
            raise _unclear(number)
        if one == two:
            return None
        tail = one[len(one) - _common_suffix(one, two) :]
        start = min(_common_prefix(one, two), _common_prefix(one, self.text), _common_prefix(two, self.text))
        shared = min(_common_suffix(one, self.text), _common_suffix(two, self.text), len(self.text) - start)
        if one.count(self._words[0]) > max(1, len(held(self._messages[number]))):
            raise _unclear(number)  # said twice
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
    """Return two words that are not in the text, unlike each other at both ends, in whatever case they are written."""
    pairs = ((f"Jvk{number}xQm", f"Bw{number}hxTp") for number in count())
    return next(pair for pair in pairs if not any(word in text for word in pair))


def _common_prefix(one: str, two: str) -> int:
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == two[low:middle] else (low, middle - 1)
    return low


def _common_suffix(one: str, two: str) -> int:
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        same = one[len(one) - middle : len(one) - low] == two[len(two) - middle : len(two) - low]
        low, high = (middle, high) if same else (low, middle - 1)
    return low


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Return the spans ascending, without empty ones; those that touch stay two."""
    return sorted(span for span in spans if span[0] < span[1])


def _marked(
    blocks: Sequence[Span], conversation: Conversation, counted: Collection[int], spans: Iterable[Span]
) -> Sequence[Span]:
    """Return which of the template's own marks belong to the turns that count; their ``spans`` tell if nothing else."""
    turns = conversation.assistant_turns
    if set(counted) == set(turns):
        return blocks
    if len(blocks) == len(turns):
        return [block for turn, block in zip(turns, blocks, strict=True) if turn in counted]
    return _common(spans, blocks)


def _common(spans: Iterable[Span], blocks: Iterable[Span]) -> list[Span]:
    pairs = ((max(a, c), min(b, d)) for a, b in spans for c, d in blocks)
    return [(start, end) for start, end in pairs if start < end]
