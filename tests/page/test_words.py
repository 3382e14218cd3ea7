"""Numbers, excerpts and depths are those of the command line and of notebooks, whose rules the page has once more."""

from __future__ import annotations

import math
import random
from itertools import pairwise

from page.conftest import Tab
from whence import linear_range, terminal
from whence.display import passages, wording
from whence.results import TokenInfluence

NUMBERS = [0.868, -12.0, 1.2e-5, 123456.0, -1e-4, 0.1, 2.5, -0.0123, 999.4, 1234567.0, 3e9, -7.77e-9, 1e-4, 100000.0]
DRAWN = random.Random(0)
MINUS = "\N{MINUS SIGN}"


def test_numbers_are_written_alike(tab: Tab):
    values = [*NUMBERS, *(DRAWN.choice([-1, 1]) * 10 ** DRAWN.uniform(-7, 7) for _ in range(300))]
    tab.go()
    shown = tab.module("numbers", "x.map(m.signed)", values)
    # In other letters for the same: a minus that is one, an exponent without padding.
    for value, text in zip(values, shown, strict=True):
        assert float(text.replace(MINUS, "-")) == float(wording.number(value)), value
        assert text[0] == (MINUS if value < 0 else "+")


def test_probabilities_are_rounded_down_alike(tab: Tab):
    values = [0.0, 0.5, 0.949, 0.95, 0.9949, 0.995, 0.9951, 0.999, 1.0, *(DRAWN.random() for _ in range(300))]
    tab.go()
    assert tab.module("numbers", "x.map(m.percent)", values) == [wording.percent(value) for value in values]


def test_the_linear_range_is_the_same(tab: Tab):
    pairs = [(DRAWN.uniform(-6, 6), -(10 ** DRAWN.uniform(-3, 3))) for _ in range(500)]
    tab.go()
    shown = tab.module("numbers", "x.map(([i, l]) => m.outsideLinearRange(i, l))", pairs)
    assert shown == [linear_range.is_outside(*pair) for pair in pairs]


def test_excerpts_are_the_same(tab: Tab):
    cases = []
    for _ in range(60):
        length = DRAWN.randint(1, 900)
        cuts = sorted(DRAWN.sample(range(length + 1), min(length, DRAWN.randint(0, 40))))
        tokens = [{"start": start, "end": end, "influence": DRAWN.gauss(0, 1)} for start, end in pairwise(cuts)]
        cases.append({"length": length, "tokens": tokens})
    tab.go()
    shown = tab.module("text", "x.map((c) => m.excerpt(c.length, c.tokens, 120))", cases)
    for case, window in zip(cases, shown, strict=True):
        tokens = [TokenInfluence(text="", **token) for token in case["tokens"]]
        expected = passages.excerpt("x" * case["length"], tokens, 120)
        assert (window["start"], window["end"]) == (expected.start, expected.end)


def test_layers_are_summed_by_the_same_depths(tab: Tab):
    names = ["model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj", "h.11.c_fc", "first", "a.b2.c", "7", "x.3"]
    values = [DRAWN.gauss(0, 1) for _ in names]
    tab.go()
    shown = tab.module("text", "m.byDepth(...x)", [names, values])
    expected = passages.by_depth(dict(zip(names, values, strict=True)))
    assert [name for name, _ in shown] == list(expected)
    assert all(math.isclose(sum_, expected[name]) for name, sum_ in shown)


def test_whatever_could_steer_a_terminal_is_shown_here_too(tab: Tab):
    letters = [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x61C, *range(0x2000, 0x2070), 0xFEFF, 0x41]]
    tab.go()
    shown = tab.module("text", "x.map(m.visible)", letters)
    left = {letter for letter, text in zip(letters, shown, strict=True) if text == letter}
    # The page breaks lines and stops at tabs as the text does.
    assert not {letter for letter in left if terminal.printable(letter) != letter} - {"\n", "\t"}
