"""The quotas of each tenant, and the TOML file that they are read from.

    [default]                                  # tenants that are not named below
    calls = "20/second; 300/minute"            # a burst, and what is sustained
    sequences = "200000/minute; 5000000/day"   # the sequences scored for them

    [tenants.acme]
    sequences = "unlimited"                    # and calls as by default

A limit is a number for a time, in the notation of the library ``limits``: ``20/second``, ``100 per 10 minutes``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import limits
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_service.quotas.demand import Demand

UNLIMITED: Final = "unlimited"
# The label of tenants without a table of their own in metrics, whose labels must take few values.
OTHER: Final = "other"


def _limits(text: object) -> object:
    if not isinstance(text, str):
        raise ValueError('expected limits as a string, such as "20/second; 300/minute"')
    if text.strip().lower() == UNLIMITED:
        return ()
    try:
        items = tuple(limits.parse_many(text))
    except ValueError:
        raise ValueError(f'expected limits such as "20/second; 300/minute", or "{UNLIMITED}"') from None
    if not all(item.amount and item.get_expiry() for item in items):
        raise ValueError("expected numbers of at least 1")
    return items


Limits = Annotated[tuple[limits.RateLimitItem, ...], BeforeValidator(_limits)]


class Quota(BaseModel):
    """The limits of a tenant. ``None`` stands for those of ``[default]``; none at all there."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    calls: Limits | None = None
    sequences: Limits | None = None


class QuotaPolicy(BaseModel):
    """The quotas of all tenants."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Quota = Quota()
    tenants: dict[str, Quota] = Field(default_factory=dict)

    def demands(self, tenant: str, sequences: int) -> tuple[Demand, ...]:
        """Return the demands on a tenant's limits of a call that scores so many sequences."""
        return tuple(self._demands(tenant, sequences))

    def label(self, tenant: str) -> str:
        """Return the tenant's name in metrics."""
        return tenant if tenant in self.tenants else OTHER

    def _demands(self, tenant: str, sequences: int) -> Iterator[Demand]:
        own = self.tenants.get(tenant, self.default)
        for quota, amount in (("calls", 1), ("sequences", sequences)):
            given = getattr(own, quota)
            items = getattr(self.default, quota) if given is None else given
            if amount:
                yield from (Demand(tenant=tenant, quota=quota, limit=item, amount=amount) for item in items or ())


def read_policy(path: Path) -> QuotaPolicy:
    """Return the policy of a file. Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_SETTINGS``)."""
    try:
        return QuotaPolicy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text: {error.reason} at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"
    except ValidationError as error:
        problem = "is not valid: " + "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False)
        )
    raise InvalidRequestError(
        f"the quotas file {path} {problem}", reason=Reason.INVALID_SETTINGS, field="quotas_file", path=path
    )
