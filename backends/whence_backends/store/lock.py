"""Locks that admit one job to a folder at a time. The operating system releases them when the process ends.

The lock is ``flock`` on the folder itself, which leaves nothing behind. On file systems that lock only files open for
writing (NFS), it is on a file ``.lock`` in the folder, which remains there unlocked.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from whence.errors import StorageError
from whence.reasons import Reason
from whence_backends.store.artefact import storage_error

_FILE: Final = ".lock"
_HELD: Final = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made if it does not exist.

    Raises :class:`~whence.errors.StorageError` with reason ``FOLDER_IN_USE`` if another job holds it.
    """
    try:
        descriptor = _lock(folder)
    except OSError as error:
        raise _in_use(folder) if error.errno in _HELD else storage_error(folder, error) from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Lock the file of one part, for jobs that share a folder. Raises the errors of :func:`alone_in`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _lock_file(path)
    except OSError as error:
        raise _in_use(path.parent) if error.errno in _HELD else storage_error(path, error) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _HELD:
            raise
        return _lock_file(folder / _FILE)
    if folder.is_dir() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)  # the folder was removed and recreated before this job locked it
    return _lock(folder)


def _lock_file(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _in_use(folder: Path) -> StorageError:
    return StorageError(
        f"another job is writing to {folder}; wait until it has ended, or choose another folder",
        reason=Reason.FOLDER_IN_USE,
        path=folder,
    )
