"""The variables of the environment that Whence reads. A variable of its prefix that nothing reads is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from whence import _variables
from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence.settings import FRONT_END, WORKER

PREFIX: Final = "WHENCE_"
CLIENT: Final = (*_variables.NAMES, *_variables.INSPECT, *_variables.EXPLORE, "WHENCE_DEBUG")
SETTINGS_FILES: Final = ("WHENCE_CONFIG", "WHENCE_WORKER_CONFIG")
# What Kubernetes sets in containers for services named whence, whence-worker and the like, as NAME=value.
_OF_KUBERNETES: Final = re.compile(
    r"WHENCE_(\w+_)?(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d+|PORT=\w+://.*|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=.*)", re.S
)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question, to be appended to a message, whether a similar name was meant; empty where there is none."""
    similar = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {similar[0]}?" if similar else ""


def check(given: Mapping[str, str] = os.environ) -> None:
    """Raise ``InvalidRequestError`` (``UNKNOWN_VARIABLE``) for a variable that no part of Whence reads.

    Variables of other parts pass, because processes may share an environment.
    """
    settings = [*FRONT_END.values(), *WORKER.values()]
    known = {*CLIENT, *SETTINGS_FILES, *(setting.variable for setting in settings)}
    unknown = sorted(
        name.upper()
        for name, value in given.items()
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not _OF_KUBERNETES.fullmatch(f"{name.upper()}={value}")
    )
    if unknown:
        named = ", ".join(f"{name} (nothing in Whence reads it{nearest(name, known)})" for name in unknown)
        raise InvalidRequestError(
            f"the environment sets {named}: spell it right or unset it; the README lists every variable",
            reason=Reason.UNKNOWN_VARIABLE,
            field=unknown[0],
        )
