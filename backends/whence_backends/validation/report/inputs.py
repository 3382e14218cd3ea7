"""What a report is made of, beside the outcomes of retraining."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from whence_backends.validation.outcomes import FloatArray
from whence_backends.validation.plan import Removal


@dataclass(frozen=True, kw_only=True, eq=False)
class Claims:
    """What is held against retraining. Shapes: ``Q`` queries, ``N`` training sequences.

    ``scores`` float64 [Q, N] by method are positive where a sequence raises a query's log-likelihood; those of the
    methods ``in_nats`` say by how much. ``reference`` is the method that the others are compared with. ``kinds`` has
    the kind of each query, if they are of several. ``signal`` and ``significance`` float64 [Q, N] are the shrunken
    influence and the probability of its sign, ``self_influence`` float64 [N] is in nats. ``errors`` float64 [Q, N] by
    method are standard errors that it claims of its scores, taken as independent in the sum over a group. Its interval
    is the one that is served: open above where the group has most of the positive scores.
    ``removals`` are those of the plan, whose queries are the columns of ``query_ids``.
    """

    scores: Mapping[str, FloatArray]
    reference: str
    in_nats: Collection[str]
    kinds: Sequence[str] = ()
    signal: FloatArray | None = None
    significance: FloatArray | None = None
    self_influence: FloatArray | None = None
    errors: Mapping[str, FloatArray] = field(default_factory=dict)
    removals: Sequence[Removal] = ()
    query_ids: Sequence[str] = ()

    def __post_init__(self) -> None:
        shapes = {values.shape for values in self.scores.values()}
        assert len(shapes) == 1, f"scores of the shapes {shapes}"
        assert {self.reference, *self.in_nats, *self.errors} <= set(self.scores), "a method without scores"
        assert not self.kinds or len(self.kinds) == next(iter(shapes))[0], "kinds of other queries"
