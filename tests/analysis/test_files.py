"""Files of influences, told apart by their columns."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.samples import student, write_matrix, write_pairs
from whence.analysis import read_influences
from whence.bulk.matrix.tables import write_matrix as write_scores
from whence.errors import InvalidRequestError

QUERIES = {"capital": student(0, 3, 60).tolist(), "author": student(1, 3, 60).tolist()}


def test_a_file_of_pairs_and_a_matrix_say_the_same(tmp_path):
    pairs = read_influences([write_pairs(tmp_path / "pairs.jsonl", QUERIES)])
    matrix = read_influences([write_matrix(tmp_path / "matrix.csv", QUERIES)])
    assert [query.query_id for query in pairs] == [query.query_id for query in matrix] == ["capital", "author"]
    for left, right, values in zip(pairs, matrix, QUERIES.values(), strict=True):
        assert left.influences.tolist() == right.influences.tolist() == values


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_what_scores_writes_is_read_and_refused_pairs_are_counted(tmp_path, suffix):
    path = tmp_path / f"scores.{suffix}"
    write_scores(path, [("capital", [0.5, None, -1.0])], ["a", "b", "c"], {})
    [query] = read_influences([path])
    assert (query.influences.tolist(), query.missing, query.signals) == ([0.5, -1.0], 1, None)


def test_several_files_are_read_and_signals_if_all_are_known(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("sequence_id,influence,signal\na,0.5,0.25\nb,-1,0\n")
    second.write_text("sequence_id,influence,signal\na,0.5,0.25\nb,-1,\n")
    known, unknown = read_influences([first, second])
    assert (known.query_id, known.signals.tolist()) == ("first", [0.25, 0.0])
    assert (unknown.query_id, unknown.signals) == ("second", None)


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("sequence_id,score\na,1\n", "MISSING_COLUMN", "has the columns sequence_id, score; expected"),
        ("query_id,row,sequence_id\nq,1,a\n", "MISSING_COLUMN", "expected"),
        ("query_id,rank,sequence_id,influence\nq,1,a,2\n", "INVALID_INFLUENCES", "table of hits"),
        ("sequence_id,influence\na,1\na,2\n", "INVALID_INFLUENCES", "row 2 .*'a' a second time"),
        ("sequence_id,influence\na,nan\n", "INVALID_INFLUENCES", "row 1 .* has 'nan'"),
        ("sequence_id,influence\na,much\n", "INVALID_INFLUENCES", "row 1 .* has 'much'"),
        ("query_id,a,b\nq,1,inf\n", "INVALID_INFLUENCES", "row 1 .* has 'inf'"),
        ("sequence_id,influence\n", "INVALID_INFLUENCES", "no influence"),
        ("sequence_id,influence\na\n", "INVALID_QUERIES", "fewer fields"),
    ],
)
def test_another_file_is_refused(tmp_path, text, reason, message):
    path = tmp_path / "influences.csv"
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=message) as caught:
        read_influences([path])
    assert caught.value.reason == reason


def test_a_query_in_two_files_is_refused(tmp_path):
    files = [write_pairs(tmp_path / name, QUERIES) for name in ("a.jsonl", "b.jsonl")]
    with pytest.raises(InvalidRequestError, match=r"'capital' of .*b\.jsonl is in another file"):
        read_influences(files)
    assert np.size(read_influences(files[:1])[0].influences) == 60
