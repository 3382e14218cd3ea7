"""Tokenizing a text that is too long to be encoded at once: overlapping windows, stitched where they agree.

A tokenizer takes about two hundred bytes of memory per token while it encodes; a window bounds that. A token depends on
its surroundings, but not on distant ones: two windows that overlap by thousands of characters agree on the tokens in
the middle of their overlap, and are joined there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whence_backends.contract import Int32Array
from whence_backends.models.text.tokenizer import Encoding, Tokenizer

WINDOW_CHARACTERS: Final = 1 << 18
OVERLAP_CHARACTERS: Final = 1 << 12  # on either side of the end of a window
_WINDOWS_AT_ONCE: Final = 4  # to keep several cores busy
_AGREED_TOKENS: Final = 8  # on either side of a seam


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedText:
    """A text, or a piece of one, with its tokens: ``ids`` int32 [T], ``offsets`` int32 [T, 2] in characters of it."""

    text: str
    ids: Int32Array
    offsets: Int32Array


def encode_pieces(text: Iterable[str], tokenizer: Tokenizer) -> Iterator[EncodedText]:
    """Yield consecutive pieces of a text with their tokens, which are those of the whole text encoded at once.

    ``text`` comes in pieces of any size. If two windows agree nowhere in their overlap (a word of thousands of
    characters), they are joined in the middle of it.
    """
    left = _Left()
    for windows in _some(_windows(text)):
        encodings = tokenizer.encode_batch([window.text for window in windows])
        for window, encoding in zip(windows, encodings, strict=True):
            yield from left.stitch(window, _Tokens.of(encoding, window.start))
    yield left.rest()


def encode_long(text: str, tokenizer: Tokenizer) -> EncodedText:
    """Return the encoding of a long text, made window by window."""
    pieces, begin = [], 0
    slices = (text[at : at + WINDOW_CHARACTERS] for at in range(0, len(text), WINDOW_CHARACTERS))
    for piece in encode_pieces(slices, tokenizer):
        pieces.append((piece.ids, piece.offsets + begin))
        begin += len(piece.text)
    ids, offsets = zip(*pieces, strict=True)
    return EncodedText(text=text, ids=np.concatenate(ids), offsets=np.concatenate(offsets))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """Characters ``start`` to ``start + len(text)`` of the text, joined to the previous window near ``seam``."""

    start: int
    seam: int
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tokens:
    """Tokens with their spans in the whole text: ``ids`` int32 [T], ``spans`` int64 [T, 2]."""

    ids: Int32Array
    spans: np.ndarray[tuple[int, ...], np.dtype[np.int64]]

    @classmethod
    def of(cls, encoding: Encoding, start: int) -> _Tokens:
        return cls(
            ids=np.array(encoding.ids, np.int32), spans=np.array(encoding.offsets, np.int64).reshape(-1, 2) + start
        )

    def part(self, first: int, last: int | None = None) -> _Tokens:
        return _Tokens(ids=self.ids[first:last], spans=self.spans[first:last])


class _Left:
    """The pending part. State: a text, its start in the whole text, and its tokens."""

    def __init__(self) -> None:
        self._start, self._text = 0, ""
        self._tokens = _Tokens(ids=np.zeros(0, np.int32), spans=np.zeros((0, 2), np.int64))

    def stitch(self, window: _Window, tokens: _Tokens) -> Iterator[EncodedText]:
        """Yield the pending part up to the seam with the next window, and keep that window from the seam on."""
        if window.start == window.seam:  # the first
            self._text, self._tokens = window.text, tokens
            return
        left, right = _seam(self._tokens, tokens, window.seam)
        at = int(tokens.spans[right, 0]) if right < len(tokens.ids) else window.seam
        yield self._piece(self._text[: at - self._start], self._tokens.part(0, left))
        self._start, self._text, self._tokens = at, window.text[at - window.start :], tokens.part(right)

    def rest(self) -> EncodedText:
        """Return the pending part."""
        return self._piece(self._text, self._tokens)

    def _piece(self, text: str, tokens: _Tokens) -> EncodedText:
        offsets = np.clip(tokens.spans - self._start, 0, len(text)).astype(np.int32)
        return EncodedText(text=text, ids=tokens.ids, offsets=offsets)


def _seam(left: _Tokens, right: _Tokens, seam: int) -> tuple[int, int]:
    """Return the index, in each, of the first token from ``seam`` on around which both agree."""
    starts = np.intersect1d(left.spans[:, 0], right.spans[:, 0])
    places = starts[starts >= seam]
    pairs = [
        (int(np.searchsorted(left.spans[:, 0], at)), int(np.searchsorted(right.spans[:, 0], at)))
        for at in places.tolist()
    ]
    agreed = next((pair for pair in pairs if _agree(left, right, *pair)), None)
    if agreed is not None:
        return agreed
    if pairs:
        return pairs[0]
    return tuple(int(np.searchsorted(tokens.spans[:, 0], seam)) for tokens in (left, right))  # type: ignore[return-value]


def _agree(left: _Tokens, right: _Tokens, left_number: int, right_number: int) -> bool:
    """Return true if the tokens before and after are the same, and no character is in tokens on both sides."""
    if min(left_number, right_number) < _AGREED_TOKENS or left.spans[left_number - 1, 1] > left.spans[left_number, 0]:
        return False
    behind = min(_AGREED_TOKENS, len(left.ids) - left_number, len(right.ids) - right_number)
    span = (
        slice(left_number - _AGREED_TOKENS, left_number + behind),
        slice(right_number - _AGREED_TOKENS, right_number + behind),
    )
    return np.array_equal(left.ids[span[0]], right.ids[span[1]]) and np.array_equal(
        left.spans[span[0]], right.spans[span[1]]
    )


def _windows(text: Iterable[str]) -> Iterator[_Window]:
    """Yield windows of a text, each from before the seam with the previous one to after the seam with the next."""
    held, start, seam = "", 0, 0
    for piece in text:
        held += piece
        while len(held) > (most := seam - start + WINDOW_CHARACTERS + OVERLAP_CHARACTERS):
            yield _Window(start=start, seam=seam, text=held[:most])
            seam += WINDOW_CHARACTERS
            held, start = held[seam - OVERLAP_CHARACTERS - start :], seam - OVERLAP_CHARACTERS
    yield _Window(start=start, seam=seam, text=held)


def _some(windows: Iterator[_Window]) -> Iterator[Sequence[_Window]]:
    held: list[_Window] = []
    for window in windows:
        held.append(window)
        if len(held) == _WINDOWS_AT_ONCE:
            yield held
            held = []
    if held:
        yield held
