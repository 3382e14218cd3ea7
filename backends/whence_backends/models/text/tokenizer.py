"""The model's tokenizer: token ids with character offsets, without automatic special tokens."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError, UnimplementedError
from whence.reasons import Reason
from whence_backends.models.source import ModelLocation, ModelSource
from whence_backends.models.text.chat import ChatRenderer
from whence_backends.models.text.chat_template import DEFAULT_DATE, ChatTemplate
from whence_backends.models.text.conversation import Conversation, ConversationError, parse_conversation
from whence_backends.models.text.tokenizer_files import load_tokenizer
from whence_backends.store.artefact import canonical_json, digest_bytes

Offset = tuple[int, int]

# Longer texts are encoded as batches are: waking the batch's threads takes 40 µs, and leaves Python's lock to others.
_SHORT_CHARACTERS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The tokens of one text: their ids and their spans in the text, in characters.

    Tokens that share the bytes of one character have overlapping offsets.
    """

    ids: list[int]
    offsets: list[Offset]


@final
class Tokenizer:
    """A fast tokenizer of ``transformers``. Encoding adds no special tokens; threads may share it.

    ``unverified`` is a caveat if it may tokenize differently from the model's own tokenizer, otherwise empty.
    """

    def __init__(self, pretrained: Any, *, unverified: str = "") -> None:  # noqa: ANN401 - transformers has no types
        self.unverified = unverified
        self._pretrained = pretrained
        serialized = _plain_backend(pretrained)
        self._backend = _with_whole_offsets(serialized)
        self.digest = _digest(pretrained, serialized)
        self.vocabulary_size: int = len(pretrained)
        self.bos_id: int | None = pretrained.bos_token_id
        self.eos_id: int | None = pretrained.eos_token_id

    @classmethod
    def load(cls, source: ModelSource | ModelLocation) -> Tokenizer:
        """Load the tokenizer of a model.

        It tokenizes as the model's tokenizer.json does, if there is one
        (:mod:`~whence_backends.models.text.tokenizer_files`). Needs no torch, except for a GGUF file, which
        ``transformers`` reads with torch. Raises the errors of
        :func:`~whence_backends.models.text.tokenizer_files.load_tokenizer`, and
        :class:`~whence.errors.UnimplementedError` for a tokenizer that is not a fast one.
        """
        loaded = load_tokenizer(source)
        pretrained = loaded.pretrained
        if not getattr(pretrained, "is_fast", False):
            raise UnimplementedError(
                f"the tokenizer of {source.reference!r} is a {type(pretrained).__name__}, which gives no "
                "character offsets; expected a fast tokenizer: add a tokenizer.json to the model",
                reason=Reason.UNSUPPORTED_TOKENIZER,
                model=source.reference,
            )
        return cls(pretrained, unverified=loaded.unverified)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder, from which :meth:`load` needs neither torch nor the model."""
        self._pretrained.save_pretrained(str(folder))

    @property
    def has_chat_template(self) -> bool:
        """True if conversations can be rendered."""
        return bool(self._pretrained.chat_template)

    @property
    def adds_bos(self) -> bool:
        """True if the tokenizer by default begins a text with the bos token."""
        ids = self._pretrained("a", add_special_tokens=True)["input_ids"]
        return self.bos_id is not None and bool(ids) and ids[0] == self.bos_id

    def encode(self, text: str) -> tuple[list[int], list[Offset]]:
        """Return the token ids of ``text`` and the span of each token, in characters."""
        if len(text) > _SHORT_CHARACTERS:
            encoding = self.encode_batch([text])[0]
        else:
            encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode many texts, each as by :meth:`encode`, on all cores."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Encoding(ids=encoding.ids, offsets=encoding.offsets) for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of tokens, special tokens included."""
        return str(self._backend.decode([int(token) for token in ids], skip_special_tokens=False))

    def encode_query(self, prompt: str, completion: str, prefix_bos: bool) -> tuple[list[int], int]:
        """Encode a prompt and its completion together. Return the ids and the position of the completion's first token.

        That is the first token that ends after the prompt: a token across the border belongs to the completion.
        ``prefix_bos`` adds the bos token in front, unless the tokenizer has none or the text begins with it.

        The caller must check the position: 0 means that the completion's first token has no context (its weight must be
        0), ``len(ids)`` that the completion has no token.
        """
        ids, offsets = self.encode(prompt + completion)
        start = completion_start(offsets, len(prompt))
        if prefix_bos and self.bos_id is not None and ids[:1] != [self.bos_id]:
            return [self.bos_id, *ids], start + 1
        return ids, start

    def chat(self, *, template: str | None = None, date: str = DEFAULT_DATE) -> ChatRenderer:
        """Return a renderer of conversations with the tokenizer's chat template, or with ``template``.

        Raises the errors of :class:`~whence_backends.models.text.chat_template.ChatTemplate`.
        """
        return ChatRenderer(ChatTemplate(self._pretrained, source=template, date=date))

    def render_chat(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
        """Render a conversation. Return the text that the model read before it wrote the last message, and the rest.

        Warns if the template drops part of the last message. Raises
        :class:`~whence.errors.InvalidRequestError` with reason ``MISSING_CHAT_TEMPLATE``,
        ``INVALID_CONVERSATION``, ``INVALID_LAST_ROLE``, ``CHAT_TEMPLATE_FAILED`` (the template refused it) or
        ``AMBIGUOUS_COMPLETION`` (the last message changes how earlier ones are rendered).
        """
        try:
            asked = parse_conversation(list(messages)) if messages else Conversation(messages=())
        except ConversationError as error:
            raise InvalidRequestError(
                f"the conversation {error}", reason=Reason.INVALID_CONVERSATION, field="messages"
            ) from error
        rendered = self.chat().render_output(asked)
        for part in rendered.lost:
            warnings.warn(f"the chat template leaves out {part}", stacklevel=2)
        ((start, _),) = rendered.spans
        return rendered.text[:start], rendered.text[start:]


def overlapping(offsets: Sequence[Offset] | NDArray[np.int32], spans: Sequence[Offset]) -> NDArray[np.bool_]:
    """Return the mask of the tokens that overlap one of the spans, bool [tokens].

    Spans are ascending and disjoint. A token across the border of a span overlaps it.
    """
    mask = np.zeros(len(offsets), np.bool_)
    if len(offsets) and spans:
        starts, ends = np.array(offsets).T
        for start, end in spans:
            mask |= (starts < end) & ((ends > start) | (starts >= start))  # tokens may be empty
    return mask


def completion_start(offsets: Iterable[Offset], prompt_characters: int) -> int:
    """Return the position of the first token that ends after the prompt, or the number of tokens if none does."""
    position = -1
    for position, (_, end) in enumerate(offsets):
        if end > prompt_characters:
            return position
    return position + 1


def _plain_backend(pretrained: Any) -> str:  # noqa: ANN401
    """Return the serialized tokenizer without truncation and padding, which are settings of its last call."""
    serialized = json.loads(pretrained.backend_tokenizer.to_str())
    return json.dumps({**serialized, "truncation": None, "padding": None}, ensure_ascii=False)


def _with_whole_offsets(serialized: str) -> Any:  # noqa: ANN401 - tokenizers has no types
    """Build a tokenizer whose tokens' offsets hold their leading spaces, as the tokens do.

    GPT-2's kind cuts the spaces off the offsets; then a prompt that ends in a space could not be told from
    the completion, and the pieces of a document would lose their first character.
    """
    from tokenizers import Tokenizer as Backend

    return Backend.from_str(serialized.replace('"trim_offsets": true', '"trim_offsets": false'))


def _digest(pretrained: Any, serialized: str) -> str:  # noqa: ANN401
    special = {name: str(token) for name, token in pretrained.special_tokens_map.items()}
    template = pretrained.chat_template
    return digest_bytes(canonical_json([json.loads(serialized), special, template]))
