"""Certificates on disk: read as they were written, checked against their digests, and the same bytes each time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from certificates.examples import EMPTY, LDS, WHOLE
from whence.errors import CorruptArtefactError, InvalidRequestError, MismatchError
from whence_backends.certificates import Certificate, Checks, Estimate, write_certificate
from whence_backends.store import ArtefactWriter


@pytest.mark.parametrize("certificate", [WHOLE, EMPTY], ids=["whole", "empty"])
def test_a_certificate_is_read_as_it_was_written(tmp_path: Path, certificate: Certificate) -> None:
    written = write_certificate(tmp_path / "c", certificate)
    assert replace(written, folder="", digest="") == certificate
    assert written == Certificate.open(tmp_path / "c")
    assert written.digest.startswith("blake3:")


def test_the_same_certificate_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    digests = {write_certificate(folder, WHOLE).digest for folder in folders}
    assert len(digests) == 1
    assert write_certificate(tmp_path / "c", replace(WHOLE, checks=Checks())).digest not in digests


def test_the_file_says_what_was_not_measured_and_what_follows(tmp_path: Path) -> None:
    write_certificate(tmp_path, EMPTY)
    document = json.loads((tmp_path / "certificate.json").read_text())
    assert document["lds"]["influence"] is None
    assert document["essence"] == "not held against retraining"
    assert document["key_figures"] == {"valid_to_rank": None, "size_ratio": None, "negative_shown": None}
    assert "folder" not in document


@pytest.mark.parametrize("file", ["certificate.json", "certificate.html"])
def test_an_altered_certificate_is_refused(tmp_path: Path, file: str) -> None:
    write_certificate(tmp_path, WHOLE)
    text = (tmp_path / file).read_text(encoding="utf-8")
    (tmp_path / file).write_text(text.replace("0.518", "0.918").replace("0.52", "0.92"), encoding="utf-8")
    with pytest.raises(CorruptArtefactError) as caught:
        Certificate.open(tmp_path)
    assert caught.value.reason == "CORRUPT_ARTEFACT"


def test_another_artefact_is_no_certificate(tmp_path: Path) -> None:
    ArtefactWriter(tmp_path, "whence.index/1").finish([], {})
    with pytest.raises(MismatchError) as caught:
        Certificate.open(tmp_path)
    assert caught.value.reason == "ARTEFACT_KIND_MISMATCH"


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"kind": "rumour"}'])
def test_a_file_of_other_contents_is_no_certificate(tmp_path: Path, text: str) -> None:
    writer = ArtefactWriter(tmp_path, "whence.certificate/1")
    record = writer.add("certificate.json", lambda path: path.write_text(text) and None)
    writer.finish([record], {})
    with pytest.raises(CorruptArtefactError) as caught:
        Certificate.open(tmp_path)
    assert "is no certificate" in caught.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused_by_name(tmp_path: Path, value: float) -> None:
    wrong = replace(WHOLE, lds=replace(LDS, bm25=Estimate.of(0.4, value)))
    with pytest.raises(InvalidRequestError) as caught:
        write_certificate(tmp_path, wrong)
    assert caught.value.reason == "INVALID_CERTIFICATE"
    assert "lds.bm25.standard_error" in caught.value.message
    assert not (tmp_path / "manifest.json").exists()


def test_figures_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    write_certificate(tmp_path / "a", WHOLE)
    document = json.loads((tmp_path / "a" / "certificate.json").read_text())
    document["lds"]["later"] = 1.0
    writer = ArtefactWriter(tmp_path / "b", "whence.certificate/1")
    record = writer.add("certificate.json", lambda path: path.write_text(json.dumps(document)) and None)
    writer.finish([record], {})
    assert Certificate.open(tmp_path / "b").lds == LDS
