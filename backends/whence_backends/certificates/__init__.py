"""Certificates: how true a model's influences were measured to be, as an artefact that workers serve. No numpy."""

from whence_backends.certificates.certificate import Certificate, Kind, Making, Subject
from whence_backends.certificates.essence import essence
from whence_backends.certificates.figures import (
    Agreement,
    Checks,
    Estimate,
    Groups,
    Lds,
    RankEffect,
    RankEffects,
    Stability,
    Step,
)
from whence_backends.certificates.storage import write_certificate

__all__ = [
    "Agreement",
    "Certificate",
    "Checks",
    "Estimate",
    "Groups",
    "Kind",
    "Lds",
    "Making",
    "RankEffect",
    "RankEffects",
    "Stability",
    "Step",
    "Subject",
    "essence",
    "write_certificate",
]
