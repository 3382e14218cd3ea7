"""The file of API keys: how it is written, and which contents are refused."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from whence.errors import InvalidRequestError
from whence_service.access.keys_file import change_keys, read_keys


def test_what_is_written_is_read(keys_file, add_key):
    key = add_key()
    assert read_keys(keys_file) == {key.stored.id: key.stored}


def test_the_file_is_its_owners_alone_and_nothing_else_is_left_behind(keys_file, add_key):
    keys_file.chmod(0o644)
    add_key()
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o600
    assert {path.name for path in keys_file.parent.iterdir()} == {"keys.json", ".keys.json.lock"}


def test_a_change_that_fails_leaves_the_file_as_it_was(keys_file, add_key):
    before = add_key()
    with pytest.raises(ZeroDivisionError):
        change_keys(keys_file, lambda keys: 1 / 0)
    assert list(read_keys(keys_file)) == [before.stored.id]


def test_writers_wait_for_each_other(keys_file, add_key):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: add_key(), range(40)))
    assert len(read_keys(keys_file)) == 40


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "EOF"),
        ("[]", "object"),
        ('{"version": 2}', "version"),
        ('{"keys": [{"id": "x"}]}', "keys.0.id"),
        ('{"keys": [], "more": 1}', "more"),
    ],
)
def test_another_content_is_refused(keys_file, content, says):
    keys_file.write_text(content)
    with pytest.raises(InvalidRequestError, match=says) as caught:
        read_keys(keys_file)
    assert caught.value.reason == "INVALID_SETTINGS"


def test_two_keys_with_one_id_are_refused_and_no_hash_is_repeated(keys_file, add_key):
    stored = add_key().stored
    document = json.loads(keys_file.read_text())
    keys_file.write_text(json.dumps({**document, "keys": document["keys"] * 2}))
    with pytest.raises(InvalidRequestError, match="one id"):
        read_keys(keys_file)
    keys_file.write_text(json.dumps({**document, "keys": [{**document["keys"][0], "hash": stored.hash[:-1]}]}))
    with pytest.raises(InvalidRequestError) as caught:
        read_keys(keys_file)
    assert stored.hash[:-1] not in caught.value.message


def test_a_file_that_is_not_there_is_refused_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(InvalidRequestError, match="whence keys add"):
        read_keys(tmp_path / "none.json")
