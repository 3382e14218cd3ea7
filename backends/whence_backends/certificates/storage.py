"""Certificates on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.certificates.certificate import FORMAT, HTML_FILE, JSON_FILE, Certificate
from whence_backends.certificates.essence import essence
from whence_backends.certificates.page import page
from whence_backends.store import ArtefactWriter


def write_certificate(folder: Path, certificate: Certificate) -> Certificate:
    """Write a certificate to a folder and return it as it is read from there, with its digest.

    The same certificate gives the same bytes. Raises :class:`~whence.errors.InvalidRequestError`
    (``INVALID_CERTIFICATE``) for a figure that is not finite, and :class:`~whence.errors.StorageError`.
    """
    document = {"essence": essence(certificate), "key_figures": key_figures(certificate), **certificate.document()}
    if wrong := [name for name, value in _numbers(document) if not math.isfinite(value)]:
        raise InvalidRequestError(
            f"the figure {wrong[0]} of the certificate is not a finite number; leave out what could not be measured",
            reason=Reason.INVALID_CERTIFICATE,
            field=wrong[0],
        )
    writer = ArtefactWriter(folder, FORMAT)
    data = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    files = [
        writer.add(JSON_FILE, lambda path: _write(path, data)),
        writer.add(HTML_FILE, lambda path: _write(path, page(certificate))),
    ]
    subject = {name: value for name, value in vars(certificate.subject).items() if value}
    writer.finish(files, {"kind": certificate.kind.value, **subject})
    return Certificate.open(folder)


def key_figures(certificate: Certificate) -> dict[str, Any]:
    """Return the conclusions from the figures: the validity rank, the size ratio and whether negatives are shown."""
    ratio = certificate.ranks.size_ratio
    return {
        "valid_to_rank": certificate.ranks.valid_to_rank,
        "size_ratio": None if ratio is None else ratio.value,
        "negative_shown": certificate.negative_shown,
    }


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:  # noqa: ANN401 - plain data
    if isinstance(value, float):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _numbers(item, f"{name}[{number}]")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
