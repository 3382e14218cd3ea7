"""A file that is read again when it changes."""

import os

import pytest

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_service.rpc.watched_file import WatchedFile


def number(path):
    try:
        return int(path.read_text())
    except (ValueError, OSError) as error:
        raise InvalidRequestError("not a number", reason=Reason.INVALID_SETTINGS) from error


@pytest.fixture
def path(tmp_path):
    (tmp_path / "number").write_text("1")
    return tmp_path / "number"


def replace(path, text):
    path.with_name("new").write_text(text)
    os.replace(path.with_name("new"), path)


def test_a_file_is_read_once_until_it_changes(path):
    reads = []
    watched = WatchedFile(path, lambda path: reads.append(path) or number(path))
    assert [watched.content for _ in range(3)] == [1, 1, 1]
    replace(path, "2")
    assert [watched.content for _ in range(3)] == [2, 2, 2]
    assert len(reads) == 2


@pytest.mark.parametrize("break_", [lambda path: replace(path, "x"), os.unlink], ids=["broken", "gone"])
def test_a_broken_one_keeps_the_last_good_one_says_so_once_and_is_mended(path, break_, logs):
    watched = WatchedFile(path, number)
    break_(path)
    assert [watched.content for _ in range(3)] == [1, 1, 1]
    assert [(line["log_level"], line["path"]) for line in logs] == [("error", str(path))]
    replace(path, "3")
    assert watched.content == 3


def test_a_link_that_leads_elsewhere_is_a_change(path):
    link = path.with_name("link")
    link.symlink_to(path)
    watched = WatchedFile(link, number)
    other = path.with_name("other")
    other.write_text("2")
    link.unlink()
    link.symlink_to(other)
    assert watched.content == 2


def test_a_file_that_is_broken_from_the_start_is_refused(path):
    path.write_text("x")
    with pytest.raises(InvalidRequestError):
        WatchedFile(path, number)
