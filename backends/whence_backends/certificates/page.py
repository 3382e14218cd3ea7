"""The page of a certificate: one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape

from whence_backends.certificates.certificate import Certificate
from whence_backends.certificates.essence import essence


def page(certificate: Certificate) -> str:
    """Return the page of a certificate."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Certificate of '
        f"{escape(certificate.subject.model)}</title></head>\n<body><h1>{escape(certificate.subject.model)}</h1>\n"
        f"<p>{escape(essence(certificate))}</p></body></html>\n"
    )
