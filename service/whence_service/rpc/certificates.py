"""Certificates, keys and authorities: read from files, and checked before gRPC gets them.

Of a file that it cannot use gRPC says nothing but that a handshake failed, at the first call.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from whence.errors import InvalidRequestError
from whence.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file, and the setting that names it."""

    setting: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """The PEM files of one end of TLS, which are read together. ``hop`` names that end in logs and metrics.

    ``certificate`` is our own with its chain, ``authorities`` are those whose certificates we accept.
    """

    hop: str
    certificate: NamedFile | None = None
    key: NamedFile | None = None
    authorities: NamedFile | None = None


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The contents of the files; empty where there is none.

    ``expires_at`` has the seconds since the epoch at which the files stop to be of use, by the names of the settings.
    """

    chain: bytes = b""
    key: bytes = field(default=b"", repr=False)
    authorities: bytes = b""
    expires_at: tuple[tuple[str, float], ...] = ()


def read(files: TlsFiles) -> Certificates:
    """Return the contents of the files. Blocking.

    Raises :class:`~whence.errors.InvalidRequestError` (``UNREADABLE_CERTIFICATE``) for a file that is missing, is not
    PEM or is out of date, and for a key of another certificate.
    """
    chain, key, authorities = map(_content, (files.certificate, files.key, files.authorities))
    expires_at = []
    if files.certificate is not None and files.key is not None:
        certificates = _parse(files.certificate, chain)
        _check_key(files.certificate, files.key, certificates[0], key)
        # A chain is as good as its shortest-lived link, a set of authorities as its longest-lived member.
        expires_at.append((files.certificate.setting, _check_dates(files.certificate, certificates)))
    if files.authorities is not None:
        longest = max(_parse(files.authorities, authorities), key=lambda authority: authority.not_valid_after_utc)
        expires_at.append((files.authorities.setting, _check_dates(files.authorities, [longest])))
    return Certificates(chain=chain, key=key, authorities=authorities, expires_at=tuple(expires_at))


def _content(file: NamedFile | None) -> bytes:
    if file is None:
        return b""
    try:
        return file.path.read_bytes()
    except FileNotFoundError:
        raise _unusable(file, "does not exist: check the path") from None
    except OSError as error:
        raise _unusable(file, f"cannot be read: {error.strerror or error}") from error


def _parse(file: NamedFile, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise _unusable(
            file, f"has {len(content)} bytes that are no certificate in PEM, which begins with -----BEGIN CERTIFICATE"
        ) from error


def _check_key(certificate_file: NamedFile, file: NamedFile, certificate: x509.Certificate, content: bytes) -> None:
    try:
        key = load_pem_private_key(content, password=None)
        matches = key.public_key() == certificate.public_key()
    except TypeError:
        raise _unusable(file, "is encrypted: give the key without a password, readable for this user alone") from None
    except (ValueError, UnsupportedAlgorithm):  # whose texts may repeat a part of the key
        raise _unusable(
            file, f"has {len(content)} bytes that are no private key in PEM, which begins with -----BEGIN PRIVATE KEY"
        ) from None
    if not matches:
        raise _unusable(
            file,
            f"is not the key of {certificate_file.path}: give the key of its first certificate, which is the server's "
            "own, or wait until both files are replaced",
        )


def _check_dates(file: NamedFile, certificates: Sequence[x509.Certificate]) -> float:
    """Return the end of the first certificate to end, in seconds since the epoch; raise unless all are valid now."""
    begins = max(certificate.not_valid_before_utc for certificate in certificates)
    ends = min(certificate.not_valid_after_utc for certificate in certificates)
    now = datetime.fromtimestamp(time.time(), UTC)
    if ends <= now:
        raise _unusable(file, f"expired at {_written(ends)}: put a valid certificate in its place")
    if begins > now:
        raise _unusable(file, f"is valid only from {_written(begins)}: check the clock of this machine")
    return ends.timestamp()


def _written(time: datetime) -> str:
    return time.isoformat(" ", "seconds")


def _unusable(file: NamedFile, problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{file.setting}: {file.path} {problem}",
        reason=Reason.UNREADABLE_CERTIFICATE,
        field=file.setting,
        path=file.path,
    )
