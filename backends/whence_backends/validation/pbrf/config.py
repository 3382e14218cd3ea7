"""The configuration of a test by the proximal Bregman response function, and its progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.validation.pbrf.agreement import FEWEST_POINTS
from whence_backends.validation.pbrf.newton import Effort


@dataclass(frozen=True, kw_only=True)
class PbrfConfig:
    """What is tested, and how hard.

    ``model``, ``factors`` and ``corpus`` are those that are served, ``queries`` a JSONL file of outputs. The objective
    is taken over at most ``sequences`` of those that the factors were fitted on, a random sample drawn with ``seed``;
    ``points`` of these are pulled, each by every number of ``copies`` (two at least show whether responses are linear).
    ``columns`` is the size of the solver's preconditioner (:mod:`.nystrom`). One product of the curvature costs some
    five forward passes over the sequences; ``columns`` of them and tens for each point and size are needed.
    """

    model: str
    factors: Path
    corpus: Path
    queries: Path
    points: int = 50
    copies: tuple[float, ...] = (1.0, 0.25)
    sequences: int = 64
    damping_factor: float = 0.1
    columns: int = 200
    precision: str = "float64"
    device: str = "auto"
    batch_tokens: int = 4096
    seed: int = 0
    effort: Effort = field(default_factory=Effort)

    def check(self) -> None:
        """Raise :class:`~whence.errors.InvalidRequestError` for counts and sizes that mean nothing."""
        if not FEWEST_POINTS <= self.points <= self.sequences:
            raise _invalid("points", f"{self.points} points of {self.sequences} sequences; expected {FEWEST_POINTS} or "
                "more, and no more than there are sequences")  # fmt: skip
        if not self.copies or not all(copies and abs(copies) < float("inf") for copies in self.copies):
            raise _invalid("copies", f"pulls of {self.copies} copies; expected numbers other than 0, such as 1,0.25")
        if not 0 < self.damping_factor < float("inf"):
            raise _invalid("damping_factor", f"a damping factor of {self.damping_factor}; expected a positive number")
        if self.columns < 0:
            raise _invalid("columns", f"a preconditioner of {self.columns} columns; expected 0, for none, or more")
        if self.batch_tokens < 1:
            raise _invalid("batch_tokens", f"batches of {self.batch_tokens} tokens; expected 1 or more")
        if not 0 < self.effort.tolerance < 1:
            raise _invalid("tolerance", f"a tolerance of {self.effort.tolerance}; expected a share of the gradient at "
                "the start, such as 1e-4")  # fmt: skip

    def require_points(self, trained: int) -> None:
        """Raise :class:`~whence.errors.InvalidRequestError` if ``trained`` sequences are too few for the points."""
        if trained < self.points:
            raise _invalid("points", f"{self.points} points, and the factors were fitted on {trained} sequences with a "
                "token that counts; give fewer points")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PbrfProgress:
    """The progress of a part: ``curvature`` counts products of the preconditioner, ``responses`` counts points."""

    part: Literal["curvature", "responses"]
    done: int
    total: int


def _invalid(setting: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, reason=Reason.INVALID_PBRF_SETTING, field=setting)
