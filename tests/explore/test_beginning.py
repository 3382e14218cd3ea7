"""Where the page begins: questions of a file, and the page's own settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explore.conftest import Page
from whence.errors import InvalidRequestError
from whence.explore.beginning import EXAMPLES, read_examples
from whence.reasons import Reason


def written(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_texts_and_conversations_of_a_file_are_examples(tmp_path: Path):
    messages = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]
    path = written(tmp_path, {"id": "a", "prompt": "The capital is", "completion": " Oslo"}, {"messages": messages})
    text, chat = read_examples(path)
    assert text == {"prompt": "The capital is", "completion": " Oslo"}
    assert chat == {"messages": messages}


def test_a_long_file_gives_its_first_questions(tmp_path: Path):
    path = written(tmp_path, *({"prompt": str(i), "completion": "x"} for i in range(3 * EXAMPLES)))
    assert [example["prompt"] for example in read_examples(path)] == [str(i) for i in range(EXAMPLES)]


@pytest.mark.parametrize("row", [{"token_ids": [1, 2, 3], "completion_start": 1}, {"question": "Where?"}])
def test_a_row_that_the_page_cannot_ask_is_refused_by_its_number(tmp_path: Path, row: dict[str, object]):
    with pytest.raises(InvalidRequestError, match="row 2") as refused:
        read_examples(written(tmp_path, {"prompt": "a", "completion": "b"}, row))
    assert refused.value.reason == Reason.INVALID_QUERIES


async def test_a_page_begins_with_no_questions_of_its_own(page: Page):
    settings = (await page.http.get("/page/settings.json")).json()
    assert settings["examples"] == []
    assert settings["guide"] is False
