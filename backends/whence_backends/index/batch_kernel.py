"""The kernel for batches of queries: sums are looked up in tables, which is faster than counting bits.

Four values of a query contribute one of sixteen sums to ⟨query, code⟩, selected by four bits of the code (a *nibble*).
A query thus becomes one table of sixteen sums per four values. A byte shuffle of the processor looks up a table for the
same nibble of LANES rows at once (64 with AVX-512BW, 32 with AVX2), as in the fast scan of André et al. 2015 (VLDB
9(4)). The sums are integers, so estimates are bit-equal to those of :mod:`whence_backends.index.kernel`.

First the codes of LANES rows are transposed, once for all queries (``_transpose``): byte ``lane`` of vector n is nibble
n (values 4n to 4n + 3) of row ``lane``::

    fours[n]            | row 0 | row 1 | row 2 | row 3 |  ...  | row 63 |   one nibble, 0 to 15, per byte

Then ``_look_up`` adds up the tables of a query over its nibbles. The table of nibble n is repeated in every 16 bytes of
a vector, since a shuffle looks up within these, and the nibbles are the indices::

    table n             | s0 s1 ... s15 | s0 s1 ... s15 |  ...               a sum is at most 4 · 15 = 60
    shuffle             | s[row 0] | s[row 1] | s[row 2] | s[row 3] | ...    the sum of each row
    n to n + 3, added   | r0 | r1 | r2 | r3 | ...                            at most 240: fits into a byte
    read as 16 bits     | r0 + 256·r1 | r2 + 256·r3 | ...                    two rows per 16-bit lane
    total 0 += that     | Σr0 + 256·Σr1 | Σr2 + 256·Σr3 | ...                modulo 2^16
    total 1 += that>>8  | Σr1 | Σr3 | ...                                    the odd rows
    at the end          total 0 - (total 1 << 8) = | Σr0 | Σr2 | ...         the even rows

Transposing and making tables pays off from MANY queries and MANY_ROWS rows on.
"""

from __future__ import annotations

from typing import Any, Final

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

from whence_backends.index.kernel import compiled

MANY: Final = 8
MANY_ROWS: Final = 4096
_SHUFFLES: Final = {64: ("avx512bw", "llvm.x86.avx512.pshuf.b.512"), 32: ("avx2", "llvm.x86.avx2.pshuf.b")}
# Words whose sums fit into sixteen bits: 16 lookups of at most 4 · 15 in each.
_WORDS: Final = 64
# Groups of LANES rows that are looked up in a table while the table is in the L1 cache.
_GROUPS: Final = 4
_BYTE, _HALF, _INDEX, _LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def _lanes() -> int:
    """Return the number of bytes that this processor shuffles at a time, or 0 without a supported instruction."""
    if config.CPU_NAME or config.CPU_FEATURES is not None or not config.ENABLE_AVX:
        return 0  # numba compiles for another processor
    features = llvmlite.binding.get_host_cpu_features()
    return next((lanes for lanes, (feature, _) in _SHUFFLES.items() if features.get(feature)), 0)


LANES: Final = _lanes()


def _load(builder: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
    loaded.align = 1
    return loaded


def _store(builder: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = 1


def _times(builder: ir.IRBuilder, value: ir.Value, factor: int) -> ir.Value:
    return builder.mul(value, ir.Constant(_LONG, factor))


@intrinsic  # type: ignore[untyped-decorator]
def _transpose(typing_context: Any, words: Any, stride: Any, out: Any) -> Any:  # noqa: ANN401 - numba's own types
    """Write the sixteen nibbles of one word of eight rows, which are ``stride`` bytes apart.

    Nibble n of the eight rows becomes eight bytes of ``out``, starting at byte n · LANES.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        words, stride, out = arguments
        eight, square = ir.VectorType(_LONG, 8), ir.VectorType(_BYTE, 64)
        rows: ir.Value = ir.Constant(eight, ir.Undefined)
        for row in range(8):
            word = _load(builder, builder.add(words, _times(builder, stride, row)), _LONG)
            rows = builder.insert_element(rows, word, ir.Constant(_INDEX, row))
        turned = [8 * row + byte for byte in range(8) for row in range(8)]
        order = ir.Constant(ir.VectorType(_INDEX, 64), turned)
        byted = builder.shuffle_vector(builder.bitcast(rows, square), ir.Constant(square, ir.Undefined), order)
        low = builder.and_(byted, ir.Constant(square, [15] * 64))
        high = builder.lshr(byted, ir.Constant(square, [4] * 64))
        for part, bytes_ in enumerate((low, high)):
            columns = builder.bitcast(bytes_, eight)
            for byte in range(8):
                column = builder.extract_element(columns, ir.Constant(_INDEX, byte))
                _store(builder, column, builder.add(out, ir.Constant(_LONG, (2 * byte + part) * LANES)))
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def _look_up(typing_context: Any, fours: Any, first: Any, second: Any, words: Any, out: Any) -> Any:  # noqa: ANN401
    """Write the sums of the tables of two queries over some words of LANES rows: uint16 [2, 2, LANES / 2].

    The axes are the query, even or odd rows, and the pair of rows.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        fours, first, second, words, out = arguments
        lanes, halves = ir.VectorType(_BYTE, LANES), ir.VectorType(_HALF, LANES // 2)
        name = _SHUFFLES[LANES][1]
        shuffle = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(lanes, [lanes, lanes]), name
        )
        eight_bits = ir.Constant(halves, [8] * (LANES // 2))
        everywhere = ir.Constant(ir.VectorType(_INDEX, LANES), list(range(16)) * (LANES // 16))

        def looked_up(table: ir.Value, four: ir.Value, chosen: ir.Value) -> ir.Value:
            sums = _load(builder, builder.add(table, _times(builder, four, 16)), ir.VectorType(_BYTE, 16))
            spread = builder.shuffle_vector(sums, ir.Constant(sums.type, ir.Undefined), everywhere)
            return builder.call(shuffle, [spread, chosen])

        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        steps = _times(builder, words, 4)  # four nibbles, whose sums fit into a byte
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(_LONG)
        step.add_incoming(ir.Constant(_LONG, 0), before)
        totals = [builder.phi(halves) for _ in range(4)]
        sums: list[ir.Value | None] = [None, None]
        for within in range(4):
            four = builder.add(_times(builder, step, 4), ir.Constant(_LONG, within))
            chosen = _load(builder, builder.add(fours, _times(builder, four, LANES)), lanes)
            for query, table in enumerate((first, second)):
                looked, others = looked_up(table, four, chosen), sums[query]
                sums[query] = looked if others is None else builder.add(others, looked)
        added = []
        for query in range(2):
            pairs = builder.bitcast(sums[query], halves)
            # The upper byte of each pair, the sum of the odd row, is subtracted from the even rows' totals at the end.
            added += [builder.add(totals[2 * query], pairs)]
            added += [builder.add(totals[2 * query + 1], builder.lshr(pairs, eight_bits))]
        following = builder.add(step, ir.Constant(_LONG, 1))
        builder.cbranch(builder.icmp_unsigned("<", following, steps), loop, after)
        step.add_incoming(following, loop)
        for total, value in zip(totals, added, strict=True):
            total.add_incoming(ir.Constant(halves, None), before)
            total.add_incoming(value, loop)
        builder.position_at_end(after)
        for query in range(2):
            odd = added[2 * query + 1]
            even = builder.sub(added[2 * query], builder.shl(odd, eight_bits))
            for half, value in enumerate((even, odd)):
                _store(builder, value, builder.add(out, ir.Constant(_LONG, (2 * query + half) * LANES)))
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 5), generate


@njit(inline="always")  # type: ignore[untyped-decorator]
def _address(array: Any, offset: Any) -> Any:  # noqa: ANN401
    """Return the address of a byte of an array.

    The caller must use the array after the last use of the address; otherwise numba frees the array before.
    """
    return np.uintp(array.ctypes.data) + np.uintp(offset)


@njit  # type: ignore[untyped-decorator]
def _lay_out(block: Any, fours: Any) -> None:  # noqa: ANN401
    """Write the bits of uint64 [LANES, W] as uint8 [16 · W, LANES], one nibble per byte."""
    stride = 8 * block.shape[1]
    for word in range(block.shape[1]):
        for row in range(0, LANES, 8):
            _transpose(
                _address(block, row * stride + 8 * word), np.uintp(stride), _address(fours, 16 * LANES * word + row)
            )


@compiled
def make_tables(levels: Any, tables: Any) -> None:  # noqa: ANN401
    """Write the tables of queries: uint8 [Q, W, 16, 16], by word, nibble of the word and value of the nibble.

    ``levels`` uint8 [Q, 64 · W] are from 0 to 15. A sum adds ``level`` for a bit that is 1 and ``15 - level`` for one
    that is 0, so that 2 · sum - 60 = Σ (2 · level - 15) · (±1).
    """
    for query in range(levels.shape[0]):
        for word in range(tables.shape[1]):
            for four in range(16):
                for choice in range(16):
                    total = 0
                    for place in range(4):
                        level = levels[query, 64 * word + 4 * four + place]
                        total += level if choice >> place & 1 else 15 - level
                    tables[query, word, four, choice] = total


@njit  # type: ignore[untyped-decorator]
def _lay_out_rows(codes: Any, first: Any, rows: Any, block: Any, fours: Any) -> None:  # noqa: ANN401
    """Lay out ``rows`` rows of codes from ``first`` on; lanes beyond them keep older rows, whose sums nobody reads."""
    for row in range(rows):
        for word in range(codes.shape[1]):
            block[row // LANES, row % LANES, word] = codes[first + row, word]
    for group in range((rows + LANES - 1) // LANES):
        _lay_out(block[group], fours[group])


@njit  # type: ignore[untyped-decorator]
def _add_pair(halves: Any, odd: Any, first: Any, sums: Any) -> None:  # noqa: ANN401
    """Add the sums of LANES rows, from ``first`` on, to those of one query, the first or second (``odd``) of a pair."""
    for lane in range(LANES // 2):
        sums[first + 2 * lane] += halves[odd, 0, lane]
        sums[first + 2 * lane + 1] += halves[odd, 1, lane]


@njit  # type: ignore[untyped-decorator]
def _add_words(fours: Any, groups: Any, tables: Any, words: Any, steps: Any, halves: Any, sums: Any) -> None:  # noqa: ANN401
    """Add the sums of ``words`` (start, count) of all groups of rows to ``sums`` int64 [Q, rows], two queries a time.

    ``steps`` are those of the segment, [Q]: a pair of queries that are both 0 there is left out.
    """
    (start, count), width, queries = words, tables.shape[1], tables.shape[0]
    for query in range(0, queries, 2):
        other = min(query + 1, queries - 1)
        if steps[query] == 0 and steps[other] == 0:
            continue
        for group in range(groups):
            _look_up(
                _address(fours, 16 * LANES * (group * width + start)),
                _address(tables, 256 * (query * width + start)),
                _address(tables, 256 * (other * width + start)),
                np.uintp(count),
                _address(halves, 0),
            )
            for odd in range(other - query + 1):
                _add_pair(halves, odd, LANES * group, sums[query + odd])


@njit  # type: ignore[untyped-decorator]
def _add_scaled(sums: Any, values: Any, step: Any, scales: Any, totals: Any) -> None:  # noqa: ANN401
    """Add step · scale · ⟨query, code⟩ of one query and segment of ``values`` values to ``totals`` float64 [rows]."""
    for row in range(scales.shape[0]):
        product = 2 * sums[row] - 15 * values
        totals[row] += step * np.float64(scales[row]) * product


@compiled
def estimate_many(codes: Any, scales: Any, tables: Any, steps: Any, starts: Any, out: Any) -> None:  # noqa: ANN401
    """Write Σ_segments scale · ⟨query, code⟩ to ``out`` float32 [Q, N].

    codes uint64 [N, W], scales float32 [N, S], tables uint8 [Q, W, 16, 16] of :func:`make_tables`, steps float32
    [Q, S], starts int64 [S + 1]: the first word of each segment, and the end of the last.
    """
    words, segments, queries, at_once = codes.shape[1], steps.shape[1], steps.shape[0], _GROUPS * LANES
    block = np.zeros((_GROUPS, LANES, words), np.uint64)
    fours = np.empty((_GROUPS, 16 * words, LANES), np.uint8)
    halves = np.empty((2, 2, LANES // 2), np.uint16)
    sums = np.empty((queries, at_once), np.int64)
    totals = np.empty((queries, at_once), np.float64)
    for first in range(0, codes.shape[0], at_once):
        rows = min(at_once, codes.shape[0] - first)
        _lay_out_rows(codes, first, rows, block, fours)
        totals[:] = 0
        for segment in range(segments):
            sums[:] = 0
            for start in range(starts[segment], starts[segment + 1], _WORDS):
                part = (start, min(_WORDS, starts[segment + 1] - start))
                _add_words(fours, (rows + LANES - 1) // LANES, tables, part, steps[:, segment], halves, sums)
            values = 64 * (starts[segment + 1] - starts[segment])
            for query in range(queries):
                step = np.float64(steps[query, segment])
                if step != 0:
                    _add_scaled(sums[query], values, step, scales[first : first + rows, segment], totals[query])
        out[:, first : first + rows] = totals[:, :rows]
    fours[0, 0, 0] = 0  # keeps the array alive, see _address
