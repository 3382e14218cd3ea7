"""A certificate authority for tests: real certificates and keys, as PEM files in a folder."""

from __future__ import annotations

import ipaddress
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path

    def replace_with(self, other: Issued) -> None:
        """Put another certificate and key into these files, one after the other, each at once."""
        for mine, theirs in ((self.key, other.key), (self.certificate, other.certificate)):
            put(mine, theirs.read_bytes())


def put(path: Path, content: bytes) -> None:
    """Replace a file's content at once."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    os.replace(beside, path)


@dataclass(frozen=True)
class Authority:
    """Issues certificates into ``folder``; ``file`` is its own certificate."""

    folder: Path
    name: str = "authority"
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def file(self) -> Path:
        path = self.folder / f"{self.name}.pem"
        if not path.exists():
            extension = x509.BasicConstraints(ca=True, path_length=None)
            certificate = self._certificate(self.name, self._key, days=(-1, 30), extension=extension)
            path.write_bytes(certificate)
        return path

    def issue(
        self, name: str, *hosts: str, days: tuple[float, float] = (-1, 1), password: bytes | None = None
    ) -> Issued:
        """Write a certificate of that common name, for hosts (none: this machine), valid in those days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_host(host) for host in hosts or HOSTS])
        stem = self.folder / f"{self.name}-{name}-{next(self._numbers)}"
        issued = Issued(certificate=stem.with_suffix(".crt"), key=stem.with_suffix(".key"))
        issued.certificate.write_bytes(self._certificate(name, key, days=days, extension=names))
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return issued

    def _certificate(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, days: tuple[float, float], extension: x509.ExtensionType
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_called(name))
            .issuer_name(_called(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
