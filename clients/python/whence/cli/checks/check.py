"""A check of ``whence doctor``: a fact, whether it is in order, and what to try where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A checked fact, with advice where it is not in order."""

    name: str
    outcome: Outcome
    fact: str
    advice: str = ""

    @classmethod
    def that(cls, name: str, holds: bool, fact: str, *, advice: str) -> Check:
        """Return a check that passes where ``holds``, and otherwise fails with ``advice``."""
        return cls(name=name, outcome=Outcome.OK if holds else Outcome.FAIL, fact=fact, advice="" if holds else advice)
