"""Cutting documents into training sequences, as pure functions of token arrays.

Boundary ``document``: a sequence never holds tokens of two documents. Boundary ``packed``: documents are
concatenated, each followed by the eos token, and the result is cut. In both cases a window of ``max_tokens`` moves by
``stride``; a token that counted in an earlier sequence is context in a later one, with weight 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.contract import Int32Array

Float32Array = NDArray[np.float32]
Boundary = Literal["document", "packed"]

PACKED_DOCUMENTS: Final = "packed_documents"  # the metadata key that lists the documents of a packed sequence
_BETWEEN_DOCUMENTS: Final = "\n\n"


@dataclass(frozen=True, kw_only=True)
class ChunkPolicy:
    """The policy for cutting documents into sequences of at most ``max_tokens`` tokens.

    ``stride`` is the number of tokens that the window moves by; ``None`` stands for ``max_tokens``: no overlap.
    ``bos`` and ``eos`` add special tokens around each document (``packed`` needs ``eos``). Sequences of fewer than
    ``min_tokens`` tokens, and those without a token that counts, are left out.
    """

    max_tokens: int = 512
    stride: int | None = None
    boundary: Boundary = "document"
    bos: bool = False
    eos: bool = False
    min_tokens: int = 2

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise _bad_policy(f"max_tokens is {self.max_tokens}; expected at least 2", "max_tokens")
        if not 1 <= self.step <= self.max_tokens:
            raise _bad_policy(f"stride is {self.stride}; expected 1 to max_tokens ({self.max_tokens})", "stride")
        if not 1 <= self.min_tokens <= self.max_tokens:
            raise _bad_policy(f"min_tokens is {self.min_tokens}; expected 1 to {self.max_tokens}", "min_tokens")
        if self.boundary not in ("document", "packed"):
            raise _bad_policy(f"boundary is {self.boundary!r}; expected 'document' or 'packed'", "boundary")
        if self.boundary == "packed" and not self.eos:
            raise _bad_policy("a packed corpus needs eos=True, which keeps its documents apart", "eos")

    @property
    def step(self) -> int:
        """The number of tokens that the window moves by."""
        return self.max_tokens if self.stride is None else self.stride

    @property
    def overlap(self) -> int:
        """The number of tokens that a sequence shares with its predecessor."""
        return self.max_tokens - self.step

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON, for a manifest."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TokenizedDocument:
    """A document and its tokens: ``token_ids`` int32 [T], ``offsets`` int32 [T, 2] in characters of ``text``.

    ``weights`` float32 [T] are the weights of the tokens as targets. ``templated`` documents come from a chat template,
    which has already inserted the special tokens. A long document comes in consecutive parts: ``continues`` is true if
    another part precedes this one, ``continued`` if another follows.
    """

    document_id: str
    source: str
    text: str
    metadata: Mapping[str, Any]
    token_ids: Int32Array
    offsets: Int32Array
    weights: Float32Array
    templated: bool = False
    continues: bool = False
    continued: bool = False


@dataclass(frozen=True, kw_only=True)
class ChunkedSequence:
    """One training sequence: ``token_ids`` int32 [T], ``offsets`` int32 [T, 2] in ``text``, ``weights`` [T].

    ``document_id``, ``source`` and ``metadata`` are those of the document that its first token comes from.
    Inserted special tokens have empty spans. The text of a packed sequence has a blank line between documents.
    """

    sequence_id: str
    document_id: str
    source: str
    text: str
    metadata: Mapping[str, Any]
    token_ids: Int32Array
    offsets: Int32Array
    weights: Float32Array


def frame(document: TokenizedDocument, *, bos_id: int | None, eos_id: int | None) -> TokenizedDocument:
    """Add the bos and eos tokens to a document, each unless it is ``None`` or already there.

    An added token has the weight of its neighbour: a bos before a prompt is context like the prompt.
    """
    if document.templated or not len(document.token_ids):
        return document
    ids = document.token_ids
    front = [] if bos_id is None or document.continues or ids[:1].tolist() == [bos_id] else [bos_id]
    back = [] if eos_id is None or document.continued or ids[-1:].tolist() == [eos_id] else [eos_id]
    if not front and not back:
        return document
    end = len(document.text)
    spans = [[(0, 0)] * len(front), document.offsets, [(end, end)] * len(back)]
    return replace(
        document,
        token_ids=np.concatenate([np.array(front, np.int32), ids, np.array(back, np.int32)]),
        offsets=np.concatenate([np.array(span, np.int32).reshape(-1, 2) for span in spans]),
        weights=np.pad(document.weights, (len(front), len(back)), mode="edge"),
    )


def chunk(documents: Iterable[TokenizedDocument], policy: ChunkPolicy) -> Iterator[ChunkedSequence]:
    """Cut framed documents into sequences, in order, holding little more than one document at a time.

    Yields every window, including those that :func:`is_worth_keeping` rejects. The n-th window that begins in a
    document is the sequence ``<document_id>#<n>``, counted from 0.
    """
    held: deque[_Piece] = deque()
    held_tokens, counted, namer = 0, 0, _Namer()  # the first `counted` of the held tokens were in an earlier window
    for document in documents:
        if len(document.token_ids):
            held.append(_Piece(document=document, start=0, stop=len(document.token_ids)))
            held_tokens += held[-1].tokens
        while held_tokens >= policy.max_tokens:
            yield _assemble(_first_tokens(held, policy.max_tokens), counted, namer)
            _drop_tokens(held, policy.step)
            held_tokens -= policy.step
            counted = policy.overlap
        if policy.boundary == "document" and not document.continued:
            if held_tokens > counted:
                yield _assemble(list(held), counted, namer)
            held.clear()
            held_tokens = counted = 0
    if held_tokens > counted:
        yield _assemble(list(held), counted, namer)


def is_worth_keeping(sequence: ChunkedSequence, policy: ChunkPolicy) -> bool:
    """Return true for a sequence that is long enough and has a token that counts, and so a gradient."""
    return len(sequence.token_ids) >= policy.min_tokens and bool(sequence.weights.any())


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Tokens ``start`` to ``stop`` of a document."""

    document: TokenizedDocument
    start: int
    stop: int

    @property
    def tokens(self) -> int:
        return self.stop - self.start


class _Namer:
    """Numbers the sequences that begin in each document. State: the latest document and its next number."""

    def __init__(self) -> None:
        self._document_id: str | None = None
        self._next = 0

    def name(self, document_id: str) -> str:
        if document_id != self._document_id:
            self._document_id, self._next = document_id, 0
        number, self._next = self._next, self._next + 1
        return f"{document_id}#{number}"


def _first_tokens(held: Iterable[_Piece], tokens: int) -> list[_Piece]:
    pieces = []
    for piece in held:
        stop = min(piece.stop, piece.start + tokens)
        pieces.append(replace(piece, stop=stop))
        tokens -= stop - piece.start
        if tokens == 0:
            break
    return pieces


def _drop_tokens(held: deque[_Piece], tokens: int) -> None:
    while tokens > 0:
        piece = held.popleft()
        if piece.tokens > tokens:
            held.appendleft(replace(piece, start=piece.start + tokens))
        tokens -= piece.tokens


def _assemble(pieces: list[_Piece], counted: int, namer: _Namer) -> ChunkedSequence:
    first = pieces[0].document
    text, offsets = _covered_text(pieces)
    weights = np.concatenate([piece.document.weights[piece.start : piece.stop] for piece in pieces])
    weights[: max(counted, 1)] = 0.0  # the first token never has context
    return ChunkedSequence(
        sequence_id=namer.name(first.document_id),
        document_id=first.document_id,
        source=first.source,
        text=text,
        metadata=_metadata(pieces),
        token_ids=np.concatenate([piece.document.token_ids[piece.start : piece.stop] for piece in pieces]),
        offsets=offsets,
        weights=weights,
    )


def _covered_text(pieces: list[_Piece]) -> tuple[str, Int32Array]:
    """Return the text that the pieces cover, and their offsets [T, 2] in it."""
    text, offsets = "", []
    for piece in pieces:
        document = piece.document
        spans = document.offsets[piece.start : piece.stop]
        # Characters between two parts of a document belong to the text even if no token covers them.
        low = 0 if document.continues and text and piece.start == 0 else int(spans.min())
        is_cut = document.continued and piece is not pieces[-1]
        high = len(document.text) if is_cut else int(spans.max())
        covered = document.text[low:high]
        if text and covered and not document.continues:
            text += _BETWEEN_DOCUMENTS
        offsets.append(spans - low + len(text))
        text += covered
    return text, np.concatenate(offsets).astype(np.int32)


def _metadata(pieces: list[_Piece]) -> Mapping[str, Any]:
    first = pieces[0].document
    documents = list(
        dict.fromkeys(piece.document.document_id for piece in pieces)
    )  # the parts of a document count once
    return first.metadata if len(documents) == 1 else {**first.metadata, PACKED_DOCUMENTS: documents}


def _bad_policy(message: str, field: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_CHUNK_POLICY, field=field)
