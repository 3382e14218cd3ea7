"""The limit on bad rows, as a number or a share, beyond which no corpus is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.corpus.ingestion.report import Tally
from whence_backends.corpus.ingestion.rows import InputFile

_DEFAULT_PERCENT: Final = "49"
_SMALL_FILE_BYTES: Final = 1 << 20
_FORM: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*(%?)\s*")


@dataclass(frozen=True, kw_only=True)
class BadRowLimit:
    """At most ``rows`` bad rows or, if that is ``None``, ``percent`` of all rows. One bad row is always allowed.

    The same share limits the bytes of files that cannot be read to their end. A single unreadable file of less than a
    mebibyte is allowed if other files can be read.
    """

    rows: int | None = None
    percent: Fraction = Fraction(_DEFAULT_PERCENT)

    @classmethod
    def parse(cls, text: str) -> BadRowLimit:
        """Parse a limit such as ``1000`` or ``2.5%``."""
        match = _FORM.fullmatch(text)
        number, sign = match.groups() if match else ("", "")
        if match and sign and Fraction(number) <= 100:
            return cls(percent=Fraction(number))
        if match and not sign and number.isdecimal():
            return cls(rows=int(number))
        raise InvalidRequestError(
            f"max_bad_rows is {text!r}; expected a number of rows, such as 1000, or a percentage, such as 10%",
            reason=Reason.INVALID_BAD_ROW_LIMIT,
            field="max_bad_rows",
        )

    def __str__(self) -> str:
        return f"{float(self.percent):g} %" if self.rows is None else f"{self.rows:,}"

    def check(self, tally: Tally, files: Sequence[InputFile]) -> None:
        """Raise :class:`~whence.errors.InvalidRequestError` if the input exceeds the limit.

        The reason is ``TOO_MANY_BAD_ROWS``, or ``UNREADABLE_CORPUS_FILE`` for files that could not be read.
        """
        total = tally.documents + tally.bad_rows
        allowed = max(int(total * self.percent / 100), 1) if self.rows is None else self.rows
        if tally.bad_rows > allowed:
            raise _too_many(tally, total, self)
        lost_bytes = sum(file.size_bytes for file in tally.unreadable_files)
        size_bytes = sum(file.size_bytes for file in files)
        is_one_small = len(tally.unreadable_files) == 1 < len(files) and lost_bytes < _SMALL_FILE_BYTES
        if self.rows is None and not is_one_small and lost_bytes * 100 > size_bytes * self.percent:
            raise _too_much_unread(tally, lost_bytes, size_bytes, self)


def _too_many(tally: Tally, total: int, limit: BadRowLimit) -> InvalidRequestError:
    same_ids = f"{tally.repeated_ids:,} have the id of an earlier row: if ids are unique within a source only, say so "
    advice = same_ids + "with id_scope=source. " if tally.repeated_ids else ""
    shown = "; ".join(str(row) for row in tally.first_bad_rows[:3])
    return InvalidRequestError(
        f"{tally.bad_rows:,} of {total:,} rows would be left out; at most {limit} may be. {advice}The first: {shown}. "
        "Mend them, or allow more with max_bad_rows",
        reason=Reason.TOO_MANY_BAD_ROWS,
        field="max_bad_rows",
    )


def _too_much_unread(tally: Tally, lost_bytes: int, size_bytes: int, limit: BadRowLimit) -> InvalidRequestError:
    shown = "; ".join(map(str, tally.unreadable_files[:3]))
    return InvalidRequestError(
        f"files with {lost_bytes:,} of the input's {size_bytes:,} bytes cannot be read to their end; at most {limit} "
        f"may be lost: {shown}. Check that they are complete, leave them out, or allow more with max_bad_rows",
        reason=Reason.UNREADABLE_CORPUS_FILE,
        field="max_bad_rows",
    )
