"""The error of a run that was interrupted: it says how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from whence.errors import (
    CorruptArtefactError,
    InvalidRequestError,
    MismatchError,
    StorageError,
    WhenceError,
)
from whence.reasons import Reason

# Errors that the same command meets again, until the request, its files or the journal are changed.
_LASTING = (InvalidRequestError, MismatchError, CorruptArtefactError, StorageError)


@contextmanager
def resumable(journal: Path, done: Callable[[], int], total: int | None, unit: str) -> Iterator[None]:
    """Say in the error that ends a run which journal has what was done, and that the same command goes on from it.

    ``done`` counts in ``unit`` (such as ``queries``). Where it is 0 there is no journal to name. Of an interruption by
    the keyboard the sentence is a note.
    """
    try:
        yield
    except WhenceError as error:
        if not isinstance(error, _LASTING) and done():
            error.message += f". {_sentence(journal, done(), total, unit)}"
            error.args = (error.message,)
            error.details |= {"journal": str(journal), "done": str(done())}
        raise
    except KeyboardInterrupt as error:
        if done():
            error.add_note(_sentence(journal, done(), total, unit))
        raise


@contextmanager
def writing(journal: Path) -> Iterator[None]:
    """Raise :class:`~whence.errors.StorageError` where the operating system cannot write a run's files."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or journal} cannot be written: {error.strerror or error}; the journal beside the table "
            "keeps what was done, and the same command goes on from there",
            reason=Reason.WRITE_FAILED,
            file=error.filename or journal,
        ) from error


def _sentence(journal: Path, done: int, total: int | None, unit: str) -> str:
    of = "" if total is None else f" of {total:,}"
    return f"{done:,}{of} {unit} are done and kept in {journal}: the same command again goes on from there."
