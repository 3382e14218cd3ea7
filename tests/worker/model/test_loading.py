"""A worker refuses artefacts that do not belong together, and says which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whence.errors import CorruptArtefactError, MismatchError, NotFoundError, WhenceError
from whence.reasons import WarningCode
from whence_backends.engines import engine_for
from whence_backends.models import processor
from whence_backends.models.source import ModelKind, ModelSource
from whence_backends.worker.model.loading import load
from whence_backends.worker.serving.server import Worker
from worker.harness import Artefacts, make_engine, write_factors, write_model


async def refusal(artefacts: Artefacts, engine: Any = None, **changes: Any) -> WhenceError:
    """The error of a worker that must not become ready."""
    worker = Worker(artefacts.settings(**changes), engine_factory=lambda _: engine or make_engine(artefacts))
    await worker.start()
    try:
        with pytest.raises(WhenceError) as caught:
            await worker.wait_ready()
    finally:
        await worker.close()
    return caught.value


async def test_factors_of_another_model_are_refused(artefacts: Artefacts, tmp_path: Path):
    factors = write_factors(tmp_path / "factors", artefacts.model, model_digest="blake3:other")
    error = await refusal(artefacts, factors=factors)
    assert isinstance(error, MismatchError)
    assert error.reason == "FACTORS_MODEL_MISMATCH"


async def test_a_corpus_of_another_tokenizer_is_refused(artefacts: Artefacts, tmp_path: Path):
    model = write_model(tmp_path / "model")
    path = model / "tokenizer_config.json"
    path.write_text(path.read_text().replace("{% for", "changed {% for"))
    error = await refusal(artefacts, model=str(model))
    assert error.reason == "CORPUS_TOKENIZER_MISMATCH"


async def test_an_engine_that_holds_other_factors_is_refused_and_closed(artefacts: Artefacts, tmp_path: Path):
    engine = make_engine(artefacts)
    factors = write_factors(tmp_path / "factors", artefacts.model, training_set_size=5)
    error = await refusal(artefacts, engine, factors=factors)
    assert error.reason == "ENGINE_FACTORS_MISMATCH"
    assert engine.calls == ["close"]


async def test_a_corpus_with_sequences_too_long_for_the_model_is_refused(artefacts: Artefacts):
    engine = make_engine(artefacts)
    engine.info = type(engine.info)(**{**vars(engine.info), "max_tokens": 40})
    assert (await refusal(artefacts, engine)).reason == "CORPUS_LENGTH_MISMATCH"


async def test_an_unknown_shard_is_refused(artefacts: Artefacts):
    error = await refusal(artefacts, shards=("nowhere",))
    assert isinstance(error, NotFoundError)
    assert "shard-00000" in error.message


@pytest.mark.parametrize("artefact", ["factors", "corpus"])
async def test_artefacts_that_are_not_there_are_refused(artefacts: Artefacts, tmp_path: Path, artefact: str):
    assert isinstance(await refusal(artefacts, **{artefact: tmp_path / "nothing"}), NotFoundError)


async def test_an_altered_corpus_is_refused(artefacts: Artefacts, tmp_path: Path):
    copy = tmp_path / "corpus"
    copy.mkdir()
    for file in artefacts.corpus.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    shard = copy / "shard-00001.arrow"
    shard.write_bytes(shard.read_bytes().replace(b"owl", b"eel"))
    error = await refusal(artefacts, corpus=copy)
    assert isinstance(error, CorruptArtefactError)
    assert "shard-00001" in error.message


@pytest.mark.parametrize(
    ("asked", "kind", "engine"),
    [("auto", "export", "ort"), ("auto", "gguf", "pytorch"), ("auto", "folder", "pytorch"), ("fake", "export", "fake")],
)
def test_an_engine_that_was_not_named_is_the_one_that_takes_the_model(asked: str, kind: ModelKind, engine: str) -> None:
    source = ModelSource(reference="x", path=Path("x"), kind=kind, digest="d")
    assert engine_for(asked, source) == engine


def test_a_precision_that_the_processor_lacks_is_warned_of(artefacts: Artefacts, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "computes_bfloat16", lambda: False)
    engine = make_engine(artefacts)
    engine.info = replace(engine.info, precision="bfloat16", device="cpu")
    loaded = load(artefacts.settings(), lambda _: engine)
    assert WarningCode.SLOW_PRECISION in [finding.reason for finding in loaded.warnings]
