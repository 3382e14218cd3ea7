"""Whence: which training sequences did this output of a language model come from?

    with whence.Client("localhost:50051") as client:
        for hit in client.attribute(prompt="The capital of Durrow is", completion=" Brelary"):
            print(hit.influence, hit.source, hit.text)

:class:`Client` and :class:`AsyncClient` ask a service; every error they raise is a :class:`WhenceError`.
"""

import os

# The level that gRPC documents as its default. Left alone, it logs more, such as the text that a peer closes its
# connection with, as it came: whoever reaches the port of a server could write lines of its log. Read at its import.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from whence._many import FailedQuery
from whence._retries import RetryPolicy
from whence.aio import AsyncClient
from whence.certificates import Certificate, CertificateSummary
from whence.client import Client
from whence.errors import (
    CancelledByCallerError,
    CorruptArtefactError,
    DeadlineError,
    ForbiddenError,
    InternalError,
    InvalidRequestError,
    MismatchError,
    NotFoundError,
    OverloadedError,
    StorageError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    WhenceError,
)
from whence.examples import TrainingExample
from whence.filters import Filter
from whence.models import Index, Layer, Limits, Model, Shard
from whence.options import AttributionOptions, BatchOptions, GroupOptions
from whence.queries import Query
from whence.results import (
    AnswerWarning,
    Attribution,
    Attributions,
    Explanation,
    GroupInfluence,
    GroupInfluences,
    Hit,
    Progress,
    Provenance,
    Recall,
    ScoreTable,
    SelfInfluences,
    TextOverlap,
    TextOverlaps,
    TokenInfluence,
    TrainingSequence,
)
from whence.saved import load
from whence.tls import Tls

__version__ = "0.1.0"

__all__ = [
    "AnswerWarning",
    "AsyncClient",
    "Attribution",
    "AttributionOptions",
    "Attributions",
    "BatchOptions",
    "CancelledByCallerError",
    "Certificate",
    "CertificateSummary",
    "Client",
    "CorruptArtefactError",
    "DeadlineError",
    "Explanation",
    "FailedQuery",
    "Filter",
    "ForbiddenError",
    "GroupInfluence",
    "GroupInfluences",
    "GroupOptions",
    "Hit",
    "Index",
    "InternalError",
    "InvalidRequestError",
    "Layer",
    "Limits",
    "MismatchError",
    "Model",
    "NotFoundError",
    "OverloadedError",
    "Progress",
    "Provenance",
    "Query",
    "Recall",
    "RetryPolicy",
    "ScoreTable",
    "SelfInfluences",
    "Shard",
    "StorageError",
    "TextOverlap",
    "TextOverlaps",
    "Tls",
    "TokenInfluence",
    "TrainingExample",
    "TrainingSequence",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "WhenceError",
    "__version__",
    "load",
]
