"""Two jobs in one folder: one works, the other is refused, and a job that was killed is in nobody's way."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from whence.errors import StorageError
from whence_backends.store import alone_in, holding

HOLD = """
import sys, time
from pathlib import Path
from whence_backends.store import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("take", [alone_in, lambda folder: holding(folder / "rank.lock")])
def test_the_second_is_refused_until_the_first_has_ended(tmp_path, take):
    with take(tmp_path), pytest.raises(StorageError, match="another job is writing to") as caught, take(tmp_path):
        pass
    assert caught.value.reason == "FOLDER_IN_USE"
    with take(tmp_path):
        pass


def test_a_folder_is_made_and_nothing_left_in_it(tmp_path):
    with alone_in(tmp_path / "a" / "b"):
        pass
    assert not list((tmp_path / "a" / "b").iterdir())


def test_the_lock_goes_with_an_error(tmp_path):
    with pytest.raises(KeyError), alone_in(tmp_path):
        raise KeyError
    with alone_in(tmp_path):
        pass


def test_a_killed_job_leaves_no_lock(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "held\n"
        with pytest.raises(StorageError), alone_in(tmp_path):
            pass
        job.send_signal(signal.SIGKILL)
        job.wait()
    with alone_in(tmp_path):
        pass


def test_parts_of_a_folder_are_held_apart(tmp_path):
    with holding(tmp_path / "0.lock"), holding(tmp_path / "1.lock"):
        pass


def test_where_folders_cannot_be_locked_a_file_in_them_is(tmp_path, monkeypatch):
    real = fcntl.flock

    def as_nfs(descriptor, operation):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", as_nfs)
    with alone_in(tmp_path), pytest.raises(StorageError) as caught, alone_in(tmp_path):
        pass
    assert caught.value.reason == "FOLDER_IN_USE"
    with alone_in(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught, alone_in(tmp_path / "file" / "folder"):
        pass
    assert caught.value.reason == "WRITE_FAILED"
