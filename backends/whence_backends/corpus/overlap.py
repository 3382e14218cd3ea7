"""Overlap with texts: the sequence that has the most n-grams of a text, by one pass over the memory-mapped tokens.

The n-grams of all texts are in one table of hashes, small enough for the processor's cache, so that a pass costs about
the same for one text and for many. A hash only proposes: the tokens themselves are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whence_backends.contract import Int32Array
from whence_backends.corpus.compiled import compiled
from whence_backends.corpus.lexical import TokenBatch

# An argument of a compiled loop, which numba types: arrays of _Table, of _scan, and numbers.
_Numba: TypeAlias = Any
# An odd number whose powers modulo 2^64 spread, and the finalizer's.
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xD6E8FEB86659FD93)
_HALF: Final = np.uint64(32)
# Places of the table for each n-gram: most lookups of what is not there end at an empty place.
_SPARSITY: Final = 8


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """The overlap of a text of ``tokens`` with the sequence at ``row``, ``None`` where no sequence has any n-gram.

    That row has ``shared_ngrams`` of the text's ``tokens - ngram + 1`` n-grams, and ``longest_run`` of its tokens in a
    row, the ``ngram`` or more. ``sequences`` have at least one n-gram.
    """

    tokens: int
    ngram: int
    shared_ngrams: int = 0
    longest_run: int = 0
    sequences: int = 0
    row: int | None = None


def find_overlaps(
    batches: Callable[[], Iterable[TokenBatch]],
    texts: Sequence[Int32Array],
    ngram: int,
    on_batch: Callable[[], None] = lambda: None,
) -> list[Overlap]:
    """Return the overlap of each text, of at least one token, with the sequences of ``batches``, numbered as they come.

    The row has the most n-grams of the text; of several the one with the longest run, then the first. A text shorter
    than ``ngram`` is one n-gram. There is a pass over the batches for each length of n-gram. ``on_batch`` is called for
    each batch and may raise, to cancel the pass.
    """
    lengths = [min(ngram, len(text)) for text in texts]
    order = sorted(range(len(texts)), key=lambda number: lengths[number])
    overlaps: dict[int, Overlap] = {}
    for length, numbers in groupby(order, key=lambda number: lengths[number]):
        of_length = list(numbers)
        table = _table([texts[number] for number in of_length], length)
        best = _scan(batches(), table, on_batch)
        overlaps |= {number: _overlap(best[:, place], texts[number], length) for place, number in enumerate(of_length)}
    return [overlaps[number] for number in range(len(texts))]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """The n-grams of some texts. A slot is a position in a text where an n-gram begins.

    ``grams`` are the distinct ones, int32 [n, ngram]; ``keys`` and ``values`` the open hash table, of which a value is
    a gram's number or -1; ``slots`` those of each gram, descending, from ``firsts[gram]`` on; ``texts`` the text of
    each slot. The slots of a text follow each other.
    """

    grams: Int32Array
    keys: NDArray[np.uint64]
    values: NDArray[np.int64]
    firsts: NDArray[np.int64]
    slots: NDArray[np.int64]
    texts: NDArray[np.int64]


def _table(texts: Sequence[Int32Array], ngram: int) -> _Table:
    windows = [np.lib.stride_tricks.sliding_window_view(text, ngram) for text in texts]
    grams, numbers = np.unique(np.concatenate(windows), axis=0, return_inverse=True)
    grams, numbers = np.ascontiguousarray(grams, np.int32), numbers.ravel()
    # By gram, and the later slot first: see _note.
    slots = np.lexsort((-np.arange(len(numbers)), numbers))
    size = 1 << (_SPARSITY * len(grams) - 1).bit_length()
    keys, values = np.zeros(size, np.uint64), np.full(size, -1, np.int64)
    _fill(grams, keys, values)
    return _Table(
        grams=grams,
        keys=keys,
        values=values,
        firsts=np.searchsorted(numbers[slots], np.arange(len(grams) + 1)),
        slots=slots,
        texts=np.repeat(np.arange(len(texts)), [len(of_text) for of_text in windows]),
    )


def _scan(batches: Iterable[TokenBatch], table: _Table, on_batch: Callable[[], None]) -> NDArray[np.int64]:
    """Return the best row of each text, -1 for none, its count, its run, and how many rows share, int64 [4, texts]."""
    count, slots = int(table.texts[-1]) + 1, len(table.texts)
    best = np.zeros((4, count), np.int64)
    best[0] = -1
    # By slot: the last row that has its n-gram, the last place that it was at, and the length of the run up to there.
    of_slots = np.full((3, slots), -1, np.int64)
    # By text: the row that is counted, and its count and longest run so far.
    of_row = np.full((3, count), -1, np.int64)
    at = np.zeros(2, np.int64)
    for starts, tokens in batches:
        on_batch()
        _scan_rows(
            starts, tokens, table.grams, table.keys, table.values, table.firsts, table.slots, table.texts,
            of_slots, of_row, best, at,
        )  # fmt: skip
    return best


def _overlap(best: NDArray[np.int64], text: Int32Array, ngram: int) -> Overlap:
    row, shared, run, sequences = best.tolist()
    return Overlap(
        tokens=len(text),
        ngram=ngram,
        shared_ngrams=shared,
        longest_run=run,
        sequences=sequences,
        row=None if row < 0 else row,
    )


@compiled
def _fill(grams: _Numba, keys: _Numba, values: _Numba) -> None:
    """Put each gram into the empty table, at its hash or the next free place."""
    mask = len(keys) - 1
    for gram in range(len(grams)):
        rolled = np.uint64(0)
        for token in grams[gram]:
            rolled = rolled * _BASE + np.uint64(token + 1)
        key = _key(rolled)
        place = np.int64(key >> _HALF) & mask
        while values[place] >= 0:
            place = (place + 1) & mask
        keys[place] = key
        values[place] = gram


@compiled
def _key(rolled: _Numba) -> _Numba:
    """Return a rolling hash, whose low bits know only the low bits of the tokens, with all bits mixed."""
    return (rolled ^ (rolled >> _HALF)) * _MIX


@compiled
def _gram_at(tokens: _Numba, place: _Numba, key: _Numba, grams: _Numba, keys: _Numba, values: _Numba) -> _Numba:
    """Return the number of the gram that begins at a place, whose hash is ``key``, or -1."""
    mask = len(keys) - 1
    entry = np.int64(key >> _HALF) & mask
    while values[entry] >= 0:
        if keys[entry] == key:
            offset, gram = 0, grams[values[entry]]
            while offset < len(gram) and tokens[place + offset] == gram[offset]:
                offset += 1
            if offset == len(gram):
                return values[entry]
        entry = (entry + 1) & mask
    return -1


@compiled
def _note(
    of_gram: _Numba,
    texts: _Numba,
    row: _Numba,
    place: _Numba,
    begins: _Numba,
    ngram: _Numba,
    of_slots: _Numba,
    of_row: _Numba,
) -> None:
    """Count the slots of a gram at a place of a row, and lengthen the runs that go on there.

    A run goes on where the slot before was at the place before. A gram may be at both slots, so the later slot comes
    first in ``of_gram``, while the earlier one still says where it was before.
    """
    for slot in of_gram:
        text, run = texts[slot], ngram
        if of_row[0, text] != row:
            of_row[0, text], of_row[1, text], of_row[2, text] = row, 0, 0
        if not begins and slot > 0 and texts[slot - 1] == text and of_slots[1, slot - 1] == place - 1:
            run = of_slots[2, slot - 1] + 1
        if of_slots[0, slot] != row:
            of_slots[0, slot] = row
            of_row[1, text] += 1
        of_slots[1, slot], of_slots[2, slot] = place, run
        of_row[2, text] = max(of_row[2, text], run)


@compiled
def _keep_best(row: _Numba, of_row: _Numba, best: _Numba) -> None:
    """Compare a row with the best one of each text that it shares a gram with."""
    for text in range(of_row.shape[1]):
        if of_row[0, text] == row:
            best[3, text] += 1
            shared, run = of_row[1, text], of_row[2, text]
            if shared > best[1, text] or (shared == best[1, text] and run > best[2, text]):
                best[0, text], best[1, text], best[2, text] = row, shared, run


@compiled
def _scan_rows(
    starts: _Numba, tokens: _Numba, grams: _Numba, keys: _Numba, values: _Numba, firsts: _Numba, slots: _Numba,
    texts: _Numba, of_slots: _Numba, of_row: _Numba, best: _Numba, at: _Numba,
) -> None:  # fmt: skip
    """Go over the rows of a batch. ``at`` has the rows and the tokens before it, and those after it in the end."""
    ngram = grams.shape[1]
    oldest = np.uint64(1)
    for _ in range(ngram - 1):
        oldest = oldest * _BASE
    for row in range(len(starts) - 1):
        first, end, shares = starts[row], starts[row + 1], False
        rolled = np.uint64(0)
        for place in range(first, min(first + ngram - 1, end)):
            rolled = rolled * _BASE + np.uint64(tokens[place] + 1)
        for place in range(first, end - ngram + 1):
            if place > first:
                rolled = rolled - np.uint64(tokens[place - 1] + 1) * oldest
            rolled = rolled * _BASE + np.uint64(tokens[place + ngram - 1] + 1)
            gram = _gram_at(tokens, place, _key(rolled), grams, keys, values)
            if gram >= 0:
                shares = True
                of_gram = slots[firsts[gram] : firsts[gram + 1]]
                _note(of_gram, texts, at[0] + row, at[1] + place, place == first, ngram, of_slots, of_row)
        if shares:
            _keep_best(at[0] + row, of_row, best)
    at[0] += len(starts) - 1
    at[1] += len(tokens)
