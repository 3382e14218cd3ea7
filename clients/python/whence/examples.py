"""Training examples that are not in the corpus, to be scored as if they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence._messages import build
from whence.conversations import ChatInput, Message
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.v1 import attribution_service_pb2, query_pb2


@dataclass(frozen=True, kw_only=True)
class TrainingExample:
    """A training example. Make it with :meth:`text`, :meth:`completion` or :meth:`chat`.

    It is tokenized as the corpus was. Trained on are all tokens of a text, the completion after a prompt, and the turns
    of a conversation that would be trained on in the corpus: by default all of the assistant's.
    """

    content: str | tuple[str, str] | ChatInput

    @classmethod
    def text(cls, text: str) -> TrainingExample:
        """Return the example of a text, all of it trained on."""
        return cls(content=text)

    @classmethod
    def completion(cls, prompt: str, completion: str) -> TrainingExample:
        """Return the example of a ``completion``, which is trained on, after a ``prompt``, which is not."""
        return cls(content=(prompt, completion))

    @classmethod
    def chat(
        cls,
        messages: Iterable[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template_arguments: Mapping[str, Any] | None = None,
        date: str = "",
        strict: bool = False,
    ) -> TrainingExample:
        """Return the example of a conversation, which may end with any message. Arguments: :meth:`Query.chat`.

        A message of the assistant may say with ``trained_on`` whether it is trained on.
        """
        chat = ChatInput.of(
            messages,
            tools=tools,
            template_arguments=template_arguments,
            date=date,
            strict=strict,
            field="sequence.chat",
        )
        if not chat.messages:
            raise InvalidRequestError(
                "there are no messages: a conversation has at least the assistant's",
                reason=Reason.EMPTY_CONVERSATION,
                field="sequence.chat.messages",
            )
        return cls(content=chat)

    def to_proto(self, field: str = "sequence") -> attribution_service_pb2.SequenceSelector:
        """Return the message. Raises ``InvalidRequestError`` for a value that cannot be sent."""
        selector = attribution_service_pb2.SequenceSelector
        match self.content:
            case ChatInput() as chat:
                return selector(chat=chat.to_proto(f"{field}.chat"))
            case (prompt, completion):
                pair = build(query_pb2.PromptCompletion, f"{field}.completion", prompt=prompt, completion=completion)
                return selector(completion=pair)
            case text:
                return build(selector, field, text=text)
