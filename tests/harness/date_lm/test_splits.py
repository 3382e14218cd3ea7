"""The splits of a data set, read from local files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from whence.errors import InvalidRequestError, NotFoundError
from whence.harness.date_lm import read_split


def test_the_parquet_files_of_the_hub_are_read_in_order_with_their_lists(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(5):
        table = pa.table({"facts": [[f"fact {number}", "another"]]})
        parquet.write_table(table, tmp_path / "data" / f"train-0000{number}-of-00005.parquet")
    rows = read_split(tmp_path, "train")
    assert rows == [{"facts": [f"fact {number}", "another"]} for number in range(5)]


def test_json_lines_are_read_and_each_split_has_its_own(tmp_path: Path) -> None:
    for split in ("train", "ref"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"type": split}) + "\n")
    assert read_split(tmp_path, "ref") == [{"type": "ref"}]


def test_a_folder_without_the_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n")
    with pytest.raises(NotFoundError, match="has no ref") as caught:
        read_split(tmp_path, "ref")
    assert caught.value.reason == "SPLIT_NOT_FOUND"


def test_a_broken_row_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"type": "Safe"}\n{\n')
    with pytest.raises(InvalidRequestError):
        read_split(tmp_path, "train")
