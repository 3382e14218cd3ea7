"""A worker serves the certificate of what it holds, and refuses that of anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certificates.examples import EMPTY, WHOLE, bound_to, negatives_shown
from whence.v1 import certificate_pb2
from whence_backends.certificates import Certificate, Kind, write_certificate
from whence_backends.inspection import Named, inspect
from whence_backends.worker.model.certificate import certificate_message
from worker.harness import Artefacts, Serve
from worker.model.test_loading import refusal

PROXY = replace(WHOLE, kind=Kind.PROXY)


def written(folder: Path, artefacts: Artefacts, certificate: Certificate = WHOLE, **other: Any) -> Path:
    """Write a certificate of the worker's artefacts, but for the digests that are given."""
    held = inspect(Named(model=str(artefacts.model), corpus=artefacts.corpus, factors=artefacts.factors))
    assert held.corpus is not None
    assert held.factors is not None
    digests = {
        "model_digest": held.model.digest,
        "factors_digest": held.factors.digest,
        "corpus_digest": held.corpus.digest,
    }
    write_certificate(folder, bound_to(certificate, **{**digests, **other}))
    return folder


async def test_a_worker_serves_the_certificate_of_what_it_holds(serve: Serve, artefacts: Artefacts, tmp_path: Path):
    async with serve(certificate=written(tmp_path, artefacts)) as worker:
        served = (await worker.info()).model.certificate
    assert served.essence.startswith("LDS 0.52 of 0.80")
    assert served.digest == Certificate.open(tmp_path).digest


async def test_a_worker_without_a_certificate_serves_none(tiny):
    assert not (await tiny.info()).model.HasField("certificate")


@pytest.mark.parametrize("what", ["model", "factors", "corpus"])
async def test_a_certificate_of_another_artefact_is_refused(artefacts: Artefacts, tmp_path: Path, what: str):
    folder = written(tmp_path, artefacts, **{f"{what}_digest": "blake3:other"})
    error = await refusal(artefacts, certificate=folder)
    assert error.reason == f"CERTIFICATE_{what.upper()}_MISMATCH"
    assert "blake3:other" in error.message


async def test_a_proxys_certificate_has_a_model_of_its_own_and_this_corpus(
    serve: Serve, artefacts: Artefacts, tmp_path: Path
):
    own = {"model_digest": "blake3:small", "factors_digest": "blake3:small"}
    async with serve(certificate=written(tmp_path / "a", artefacts, PROXY, **own)) as worker:
        served = (await worker.info()).model.certificate
    assert served.kind == certificate_pb2.CERTIFICATE_KIND_PROXY
    assert "not of this model" in served.essence
    other = written(tmp_path / "b", artefacts, PROXY, **own, corpus_digest="blake3:other")
    assert (await refusal(artefacts, certificate=other)).reason == "CERTIFICATE_CORPUS_MISMATCH"


def test_what_was_not_measured_is_unset() -> None:
    message = certificate_message(EMPTY)
    assert [field.name for field, _ in message.ListFields() if field.has_presence] == []
    assert not message.negative_validated


def test_the_figures_are_those_of_the_certificate() -> None:
    """Broken by: swapping any two."""
    message = certificate_message(negatives_shown())
    assert message.negative_validated
    assert (message.lds, message.lds_standard_error, message.lds_ceiling) == (0.518, 0.047, 0.80)
    assert (message.lds_signal, message.lds_positive, message.lds_negative) == (0.589, 0.606, 0.3)
    assert (message.lds_bm25, message.lds_dot_product) == (0.452, 0.413)
    assert (message.subsets, message.repeated_subsets, message.queries) == (40, 24, 24)
    assert (message.valid_to_rank, round(message.size_ratio, 2)) == (10, 1.19)
    assert (message.step_slope, round(message.impossible_share, 2)) == (0.55, 0.33)
    assert (message.pbrf_correlation, message.bm25_overlap) == (0.91, 0.41)
