"""What metadata says under a name, how that is named, and what a condition asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence.terminal import printable
from whence_backends.corpus.values import asked_by, name_of, values


def holds(value: Any, condition: str, name: str = "v") -> bool:
    return not values({"v": value} if name == "v" else value, name).isdisjoint(asked_by(condition))


@pytest.mark.parametrize(
    ("condition", "finds", "finds_not"),
    [
        ("1908", [1908, 1908.0, "1908", [1907, 1908]], [19080, "1908.0", True, None, "01908", {"1908": 1908}]),
        ("1908.0", [1908, 1908.0, "1908.0"], ["1908"]),
        ("1.908e3", [1908, 1908.0, "1.908e3"], ["1908"]),
        ('"1908"', ["1908"], [1908, 1908.0]),
        ("0", [0, 0.0, -0.0, "0"], [False, "", None]),
        ("1", [1, 1.0], [True, "true"]),
        ("true", [True, "true"], [1, "True", False]),
        ("false", [False, "false"], [0, None, ""]),
        ("null", [None, "null"], ["", []]),
        ("", [None, "", [], [[]], ["x", None]], ["null", 0, False, {}]),
        ("9007199254740993", [2**53 + 1], [2.0**53, 2**53]),
        ("1e22", [10**22, 1e22], [10**22 + 1]),
        ("0.1", [0.1, "0.1"], ["0.10", 0.1000001]),
        ("01908", ["01908"], [1908]),
        ("Zürich", ["Zürich", "Zu\u0308rich"], ["Zurich", "zürich"]),
        ('{"a": 1, "b": [2.0]}', [{"b": [2], "a": 1.0}], [{"a": 1}, {"a": 1, "b": ["2"]}]),
        ("[1, 2]", ["[1, 2]"], [[1, 2]]),
        ("[" * 100_000, ["[" * 100_000], [[]]),
        ("9" * 5000, ["9" * 5000], [float("9" * 300)]),
    ],
)
def test_a_condition_finds_what_equals_it(condition: str, finds: list[Any], finds_not: list[Any]):
    assert [value for value in finds if not holds(value, condition)] == []
    assert [value for value in finds_not if holds(value, condition)] == []


@pytest.mark.parametrize(
    ("metadata", "name", "found"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a.b": 1}, "a.b", 1),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a.b": {"c": 1}, "a": {"b.c": 2}}, "a.b.c", 2),
        ({"a": [{"b": 1}, {"c": 3}, {"b": 2}]}, "a.b", 2),
        ({"": {"": 1}}, ".", 1),
        ({"a": {"": 1}}, "a.", 1),
    ],
)
def test_a_name_reaches_into_objects_and_a_dot_may_be_part_of_it(metadata: dict[str, Any], name: str, found: int):
    assert holds(metadata, str(found), name)


@pytest.mark.parametrize("metadata", [{}, {"a": 1}, {"a": {"c": 1}}, {"a": "b"}, {"a": None}, {"b": 1}, {"a": []}])
def test_a_name_that_leads_nowhere_is_no_value(metadata: dict[str, Any]):
    assert {name_of(value) for value in values(metadata, "a.b")} == {""}


def test_a_name_of_many_dots_costs_no_more_than_the_fields_there_are():
    """Broken by: trying every place at which a name could be cut; this takes hours then."""
    metadata = {f"field {number}": {"a": number} for number in range(100)}
    assert {name_of(value) for value in values(metadata, "." * 5_000_000)} == {""}


def test_a_field_that_is_spelt_whole_hides_the_path():
    assert not holds({"a.b": 1, "a": {"b": 2}}, "2", "a.b")


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["", "1", "1.0", "01", "true", "null", "NaN", "(none)", " x", '"x"', "[1]", '{"a": 1}', "\x1b[0m"]),
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(st.lists(JSON, min_size=1, max_size=8))
def test_a_groups_name_asks_for_the_group_and_nothing_else(rows: list[Any]):
    of_row = [values({"v": row}, "v") for row in rows]
    for name in {name_of(value) for found in of_row for value in found}:
        in_group = [name in map(name_of, found) for found in of_row]
        assert [not found.isdisjoint(asked_by(name)) for found in of_row] == in_group


@given(JSON)
def test_a_groups_name_can_be_read_off_a_terminal(row: Any):
    for value in values({"v": row}, "v"):
        assert printable(name_of(value)) == name_of(value)
        assert name_of(value) != "(none)"


@given(st.integers(-(2**80), 2**80))
def test_numbers_are_named_alike_where_they_are_equal(number: int):
    names = {name_of(value) for same in (number, float(number)) if same == number for value in values({"v": same}, "v")}
    assert len(names) == 1
