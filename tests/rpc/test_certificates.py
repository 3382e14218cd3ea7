"""Which files of TLS are taken, and what is said of those that are not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from authority import Authority
from whence.errors import InvalidRequestError
from whence_service.rpc.certificates import NamedFile, TlsFiles, read


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files(**paths: Path) -> TlsFiles:
    settings = {"certificate": "tls_certificate", "key": "tls_key", "authorities": "tls_client_ca"}
    return TlsFiles(
        hop="server", **{name: NamedFile(setting=settings[name], path=path) for name, path in paths.items()}
    )


def refusal(**paths: Path) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        read(files(**paths))
    assert caught.value.reason == "UNREADABLE_CERTIFICATE"
    return caught.value


def test_good_files_are_read_with_their_ends(authority: Authority):
    server = authority.issue("server", days=(-1, 2))
    certificates = read(files(certificate=server.certificate, key=server.key, authorities=authority.file))
    assert certificates.chain == server.certificate.read_bytes()
    ends = dict(certificates.expires_at)
    assert ends["tls_certificate"] == pytest.approx(time.time() + 2 * 86_400, abs=60)
    assert ends["tls_client_ca"] == pytest.approx(time.time() + 30 * 86_400, abs=60)


def test_a_chain_ends_with_its_first_link_and_authorities_with_their_last(authority: Authority, tmp_path: Path):
    server, longer = authority.issue("server", days=(-1, 3)), authority.issue("other", days=(-1, 2))
    bundle, expired = tmp_path / "bundle.pem", authority.issue("old", days=(-2, -1))
    server.certificate.write_bytes(server.certificate.read_bytes() + longer.certificate.read_bytes())
    bundle.write_bytes(expired.certificate.read_bytes() + authority.file.read_bytes())
    ends = dict(read(files(certificate=server.certificate, key=server.key, authorities=bundle)).expires_at)
    assert ends["tls_certificate"] == pytest.approx(time.time() + 2 * 86_400, abs=60)
    assert ends["tls_client_ca"] == pytest.approx(time.time() + 30 * 86_400, abs=60)


@pytest.mark.parametrize("missing", ["certificate", "key", "authorities"])
def test_a_missing_file_is_named_with_its_setting(authority: Authority, tmp_path: Path, missing: str):
    server = authority.issue("server")
    paths = {"certificate": server.certificate, "key": server.key, "authorities": authority.file}
    error = refusal(**{**paths, missing: tmp_path / "nowhere.pem"})
    assert error.field == {"certificate": "tls_certificate", "key": "tls_key", "authorities": "tls_client_ca"}[missing]
    assert "nowhere.pem does not exist" in error.message


def test_a_folder_is_no_certificate(authority: Authority, tmp_path: Path):
    assert "cannot be read: Is a directory" in refusal(authorities=tmp_path).message


def test_what_is_not_pem_is_refused_without_being_repeated(authority: Authority, tmp_path: Path):
    server, text = authority.issue("server"), tmp_path / "text.pem"
    text.write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    for paths in ({"authorities": text}, {"certificate": text, "key": server.key}):
        assert "are no certificate in PEM" in refusal(**paths).message
    error = refusal(certificate=server.certificate, key=text)
    assert "are no private key in PEM" in error.message
    assert "hunter2" not in f"{error!r} {error.__cause__!r}"


def test_a_key_of_another_certificate_is_refused(authority: Authority):
    server, other = authority.issue("server"), authority.issue("server")
    error = refusal(certificate=server.certificate, key=other.key)
    assert (error.field, f"is not the key of {server.certificate}" in error.message) == ("tls_key", True)


def test_an_encrypted_key_is_refused(authority: Authority):
    server = authority.issue("server", password=b"hunter2")
    assert "is encrypted" in refusal(certificate=server.certificate, key=server.key).message


def test_certificates_are_refused_out_of_their_time(authority: Authority):
    for days, says in (((-2, -1), "expired at"), ((1, 2), "is valid only from")):
        server = authority.issue("server", days=days)
        assert says in refusal(certificate=server.certificate, key=server.key).message


def test_a_key_is_in_no_repr(authority: Authority):
    server = authority.issue("server")
    shown = repr(read(files(certificate=server.certificate, key=server.key)))
    assert "PRIVATE" not in shown
