"""``whence doctor --model``: whether artefacts belong together, said before anything runs on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from certificates.examples import WHOLE, bound_to
from preflight.conftest import CHARACTERS
from whence import cli
from whence_backends.certificates import write_certificate
from whence_backends.corpus import Corpus
from whence_backends.inspection import Named, inspect


def doctor(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["doctor", *map(str, arguments)], env={"COLUMNS": "200"})


def test_artefacts_in_order_pass_and_no_server_is_asked(
    make_model: Callable[..., Path], make_corpus: Callable[..., Corpus]
) -> None:
    model = make_model()
    done = doctor("--model", model, "--corpus", make_corpus(model).path)
    assert done.exit_code == 0, done.output
    assert "knows 61 tokens, and takes 64 at once" in done.stdout
    assert "3 sequences of up to 28 tokens, 72 tokens trained on" in done.stdout
    assert "server" not in done.stdout


def test_all_that_is_wrong_is_said_at_once(make_model: Callable[..., Path], make_corpus: Callable[..., Corpus]) -> None:
    """Broken by: stopping at the first refusal."""
    corpus = make_corpus(make_model("of-the-corpus"), ["the owl keeps the light and " * 3])
    other = make_model("other", characters=CHARACTERS[:4] + CHARACTERS[4:][::-1])
    done = doctor("--model", other, "--corpus", corpus.path, "--training-sequences", 1000, "--json")
    assert done.exit_code == 1
    failed = [check["name"] for check in json.loads(done.stdout)["checks"] if check["outcome"] == "fail"]
    assert failed == ["CORPUS_TOKENIZER_MISMATCH", "CORPUS_LENGTH_MISMATCH"]


def test_a_certificate_is_read_out_and_must_be_of_these_artefacts(
    make_model: Callable[..., Path], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    """Broken by: reading it out alone."""
    model = make_model()
    corpus = make_corpus(model)
    digest = inspect(Named(model=str(model))).model.digest
    for name, model_digest in (("its-own", digest), ("other", "blake3:other")):
        certificate = bound_to(WHOLE, model_digest=model_digest, corpus_digest=corpus.digest)
        write_certificate(tmp_path / name, certificate)
    artefacts = ["--model", model, "--corpus", corpus.path, "--certificate"]
    done = doctor(*artefacts, tmp_path / "its-own")
    assert done.exit_code == 0, done.output
    assert "validation: 2026-11-26: LDS 0.52 of 0.80; valid to rank 10" in done.stdout
    done = doctor(*artefacts, tmp_path / "other")
    assert done.exit_code == 1
    assert "CERTIFICATE_MODEL_MISMATCH" in done.stdout


def test_what_is_not_there_fails(make_model: Callable[..., Path], tmp_path: Path) -> None:
    done = doctor("--model", make_model(), "--corpus", tmp_path / "nothing")
    assert done.exit_code == 1
    assert "ARTEFACT_NOT_FOUND" in done.stdout


def test_artefacts_without_a_model_are_a_wrong_use(tmp_path: Path) -> None:
    assert doctor("--corpus", tmp_path).exit_code == 2
