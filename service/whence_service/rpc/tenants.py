"""The tenant of a call, from front end to worker.

A front end knows who calls and sends the name of the tenant along, so that workers are fair between tenants too.
Workers believe it: they can be reached by front ends alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

from whence_service.rpc import identity

METADATA_KEY: Final = "x-whence-tenant"


def to_metadata(tenant: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata that names a tenant; none for callers without one."""
    return ((METADATA_KEY, quote(tenant, safe="")),) if tenant else ()


def enter(metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Have the rest of this task work for the tenant that the metadata of a call names, if any."""
    for key, value in metadata:
        if key == METADATA_KEY and isinstance(value, str):
            identity.enter(dataclasses.replace(identity.current_identity(), tenant=unquote(value)))
