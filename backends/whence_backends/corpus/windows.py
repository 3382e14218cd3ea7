"""Tokens of a text that is too long to be encoded at once: overlapping windows, stitched where they agree.

A tokenizer's memory is some two hundred bytes a token while it encodes; a window bounds it. What a token is depends on
its surroundings, but not on those far away: two windows that overlap by thousands of characters agree on the tokens in
the middle of their overlap, and there one takes over from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whence_backends.contract import Int32Array
from whence_backends.models.text.tokenizer import Encoding, Tokenizer

WINDOW_CHARACTERS: Final = 1 << 18
OVERLAP_CHARACTERS: Final = 1 << 12  # on either side of where a window ends
_WINDOWS_AT_ONCE: Final = 4  # so that several cores have something to do
_AGREED_TOKENS: Final = 8  # on either side of a seam


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedText:
    """A text, or a piece of one, with its tokens: ``ids`` int32 [T], ``offsets`` int32 [T, 2] in characters of it."""

    text: str
    ids: Int32Array
    offsets: Int32Array


def encode_pieces(text: Iterable[str], tokenizer: Tokenizer) -> Iterator[EncodedText]:
    """Yield a text in consecutive pieces with their tokens: those of the whole text, encoded at once.

    ``text`` comes in pieces of any size. Where two windows agree nowhere in their overlap (words of thousands of
    characters), the seam is put in the middle of it all the same.
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
    """Characters ``start`` to ``start + len(text)`` of the whole; it takes over at ``seam`` or soon behind."""

    start: int
    seam: int
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tokens:
    """Tokens with their places in the whole text: ``ids`` int32 [T], ``spans`` int64 [T, 2]."""

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
    """What is not yet given away. State: a text, where it begins in the whole, and its tokens."""

    def __init__(self) -> None:
        self._start, self._text = 0, ""
        self._tokens = _Tokens(ids=np.zeros(0, np.int32), spans=np.zeros((0, 2), np.int64))

    def stitch(self, window: _Window, tokens: _Tokens) -> Iterator[EncodedText]:
        """Yield what comes before the seam with the next window, and hold that window from the seam on."""
        if window.start == window.seam:  # the first
            self._text, self._tokens = window.text, tokens
            return
        mine, its = _seam(self._tokens, tokens, window.seam)
        at = int(tokens.spans[its, 0]) if its < len(tokens.ids) else window.seam
        yield self._piece(self._text[: at - self._start], self._tokens.part(0, mine))
        self._start, self._text, self._tokens = at, window.text[at - window.start :], tokens.part(its)

    def rest(self) -> EncodedText:
        """Return all that is held."""
        return self._piece(self._text, self._tokens)

    def _piece(self, text: str, tokens: _Tokens) -> EncodedText:
        offsets = np.clip(tokens.spans - self._start, 0, len(text)).astype(np.int32)
        return EncodedText(text=text, ids=tokens.ids, offsets=offsets)


def _seam(left: _Tokens, right: _Tokens, seam: int) -> tuple[int, int]:
    """Return the first token of both, from ``seam`` on, around which they agree: its number in each."""
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


def _agree(left: _Tokens, right: _Tokens, mine: int, its: int) -> bool:
    """Say whether the tokens before and behind are the same, and no character is in tokens on both sides."""
    if min(mine, its) < _AGREED_TOKENS or left.spans[mine - 1, 1] > left.spans[mine, 0]:
        return False
    behind = min(_AGREED_TOKENS, len(left.ids) - mine, len(right.ids) - its)
    span = slice(mine - _AGREED_TOKENS, mine + behind), slice(its - _AGREED_TOKENS, its + behind)
    return np.array_equal(left.ids[span[0]], right.ids[span[1]]) and np.array_equal(
        left.spans[span[0]], right.spans[span[1]]
    )


def _windows(text: Iterable[str]) -> Iterator[_Window]:
    """Yield windows of a text: each begins before the seam with the one before, and ends behind the next one's."""
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
