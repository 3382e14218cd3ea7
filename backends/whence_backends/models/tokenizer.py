"""The model's tokenizer, as Whence uses it: ids with character offsets, and no token unasked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from whence.errors import InvalidRequestError, UnimplementedError
from whence_backends.models.source import ModelLocation, ModelSource
from whence_backends.models.tokenizer_files import load_tokenizer
from whence_backends.store.artefact import canonical_json, digest_bytes

Offset = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The tokens of one text: their ids, and where each starts and ends in it, in characters.

    Tokens that share the bytes of one character have overlapping offsets.
    """

    ids: list[int]
    offsets: list[Offset]


@final
class Tokenizer:
    """A fast tokenizer of ``transformers``. Encoding adds no special tokens; threads may share it.

    ``unverified`` says why it may cut text otherwise than the model's own tokenizer; empty where it does not.
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
        """Load the tokenizer that comes with a model.

        It cuts text as the tokenizer.json of the model does, where there is one
        (:mod:`~whence_backends.models.tokenizer_files`). Does not need torch, except for a GGUF file, which
        ``transformers`` reads with torch. Raises what
        :func:`~whence_backends.models.tokenizer_files.load_tokenizer` does, and
        :class:`~whence.errors.UnimplementedError` where it is not a fast one.
        """
        loaded = load_tokenizer(source)
        pretrained = loaded.pretrained
        if not getattr(pretrained, "is_fast", False):
            raise UnimplementedError(
                f"the tokenizer of {source.reference!r} is a {type(pretrained).__name__}, which gives no "
                "character offsets; expected a fast tokenizer: add a tokenizer.json to the model",
                reason="SLOW_TOKENIZER",
                model=source.reference,
            )
        return cls(pretrained, unverified=loaded.unverified)

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into a folder, from which :meth:`load` needs neither torch nor the model."""
        self._pretrained.save_pretrained(str(folder))

    @property
    def has_chat_template(self) -> bool:
        """Whether conversations can be rendered."""
        return bool(self._pretrained.chat_template)

    @property
    def adds_bos(self) -> bool:
        """Whether the model's own convention begins a text with the bos token."""
        ids = self._pretrained("a", add_special_tokens=True)["input_ids"]
        return self.bos_id is not None and bool(ids) and ids[0] == self.bos_id

    def encode(self, text: str) -> tuple[list[int], list[Offset]]:
        """Return the token ids of ``text`` and where each token starts and ends in it, in characters."""
        encoding = self.encode_batch([text])[0]
        return encoding.ids, encoding.offsets

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode many texts, each as :meth:`encode` would, using all cores."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Encoding(ids=encoding.ids, offsets=encoding.offsets) for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of tokens, special tokens included."""
        return str(self._backend.decode([int(token) for token in ids], skip_special_tokens=False))

    def encode_query(self, prompt: str, completion: str, prefix_bos: bool) -> tuple[list[int], int]:
        """Encode a prompt and its completion together; return the ids and where the completion begins.

        The completion begins at the first token that ends behind the prompt, so a token across the border
        belongs to it. ``prefix_bos`` puts the bos token in front, unless the tokenizer has none or the text
        begins with it.

        The caller must look at the position: 0 means that the first token has no context (its weight must be
        0), ``len(ids)`` that the completion has no token.
        """
        ids, offsets = self.encode(prompt + completion)
        start = completion_start(offsets, len(prompt))
        if prefix_bos and self.bos_id is not None and ids[:1] != [self.bos_id]:
            return [self.bos_id, *ids], start + 1
        return ids, start

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[str, str]:
        """Render a conversation; return what precedes the content of the last message, and the rest.

        Raises :class:`~whence.errors.InvalidRequestError` with reason ``NO_CHAT_TEMPLATE``,
        ``LAST_MESSAGE_NOT_ASSISTANT``, ``CHAT_TEMPLATE_FAILED`` (the template refused the messages) or
        ``CHAT_TEMPLATE_NOT_PREFIX`` (the last message changes how earlier ones are rendered).
        """
        self._require_renderable(messages)
        prompt = self._render(messages[:-1], add_generation_prompt=True)
        whole = self._render(messages, add_generation_prompt=False)
        if not whole.startswith(prompt):
            raise InvalidRequestError(
                "the chat template renders the earlier messages differently once the answer follows, so "
                "prompt and completion cannot be told apart; send them as text or token ids instead",
                reason="CHAT_TEMPLATE_NOT_PREFIX",
                field="messages",
            )
        return prompt, whole[len(prompt) :]

    def _require_renderable(self, messages: Sequence[Mapping[str, str]]) -> None:
        if not self.has_chat_template:
            raise InvalidRequestError(
                "the model's tokenizer has no chat template; send the conversation as prompt and completion",
                reason="NO_CHAT_TEMPLATE",
                field="messages",
            )
        last_role = messages[-1]["role"] if messages else None
        if last_role != "assistant":
            got = f"its role is {last_role!r}" if messages else "there are no messages"
            raise InvalidRequestError(
                f"the last message must be the assistant's, whose output is attributed; {got}",
                reason="LAST_MESSAGE_NOT_ASSISTANT",
                field="messages",
            )

    def _render(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        conversation = [dict(message) for message in messages]
        try:
            return str(
                self._pretrained.apply_chat_template(
                    conversation, tokenize=False, add_generation_prompt=add_generation_prompt
                )
            )
        except (TemplateError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InvalidRequestError(
                f"the model's chat template refused the messages: {error}; check their roles and their order",
                reason="CHAT_TEMPLATE_FAILED",
                field="messages",
            ) from error


def completion_start(offsets: Iterable[Offset], prompt_characters: int) -> int:
    """Return the position of the first token that ends behind the prompt, or their number where none does."""
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
