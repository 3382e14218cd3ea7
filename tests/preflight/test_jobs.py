"""Fit, index and worker refuse before the first batch what cannot go together, for the same reasons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from preflight.conftest import CHARACTERS, TEXTS
from whence import cli
from whence.errors import WhenceError
from whence_backends.corpus import Corpus
from whence_backends.corpus.reader import CORPUS_FORMAT
from whence_backends.fit import FitConfig, fit
from whence_backends.fit import job as fit_job
from whence_backends.inspection import Named, inspect
from whence_backends.preflight import Finding
from whence_backends.store import ArtefactWriter, read_manifest
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.model.loading import load

MakeCorpus = Callable[..., Corpus]


def do_fit(model: Path, corpus: Corpus, out: Path, **options: Any) -> Any:
    warnings: list[Finding] = []
    factors = fit(FitConfig(model=str(model), out=out, device="cpu", **options), corpus, warn=warnings.append)
    return factors, [warning.reason for warning in warnings]


def rewrite(corpus: Corpus, change: Callable[[dict[str, Any]], None]) -> Corpus:
    """Return the corpus with another manifest, as other versions write it."""
    manifest = read_manifest(corpus.path, CORPUS_FORMAT)
    properties = json.loads(json.dumps(manifest.properties))
    change(properties)
    ArtefactWriter(corpus.path, CORPUS_FORMAT).finish(manifest.files, properties)
    return Corpus.open(corpus.path)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whoever reads a model's weights fail."""

    def read(*_: object, **__: object) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(fit_job, "load_causal_lm", read)


REVERSED = CHARACTERS[:4] + CHARACTERS[4:][::-1]
TOO_LONG = "the owl keeps the light and " * 3


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    ("tokenizer", "texts", "reason"),
    [
        ({"characters": REVERSED}, TEXTS, "CORPUS_TOKENIZER_MISMATCH"),
        ({"added": ["<|tool|>"]}, TEXTS, "CORPUS_TOKENIZER_MISMATCH"),
        ({}, [*TEXTS, TOO_LONG], "CORPUS_LENGTH_MISMATCH"),
    ],
)
def test_a_fit_refuses_a_corpus_that_is_not_for_its_model_before_the_weights_are_read(
    tokenizer: dict[str, Any],
    texts: list[str],
    reason: str,
    make_model: Callable[..., Path],
    make_corpus: MakeCorpus,
    tmp_path: Path,
) -> None:
    """A tokenizer of the same size has the same ids for other characters."""
    corpus = make_corpus(make_model("of-the-corpus"), texts)
    with pytest.raises(WhenceError) as caught:
        do_fit(make_model("other", **tokenizer), corpus, tmp_path / "factors")
    assert caught.value.reason == reason
    assert not (tmp_path / "factors").exists()


@pytest.mark.usefixtures("unread")
def test_a_fit_refuses_a_token_that_the_model_has_no_embedding_of(
    make_model: Callable[..., Path], make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    """Broken by: looking at the tokenizer's size alone: embeddings are often padded beyond it."""
    model = make_model(added=[f"<{number}>" for number in range(40)])
    fitting = make_corpus(model, [*TEXTS, "the owl <3>"], "fitting")
    assert fitting.facts.largest_token_id == len(CHARACTERS) + 3
    with pytest.raises(AssertionError, match="weights were read"):
        do_fit(model, fitting, tmp_path / "factors")
    with pytest.raises(WhenceError, match="token id 72; the embeddings") as caught:
        do_fit(model, make_corpus(model, [*TEXTS, "the owl <39>"], "beyond"), tmp_path / "factors")
    assert caught.value.reason == "TOO_LARGE_TOKEN_ID"


def test_a_sequence_as_long_as_the_model_takes_is_fitted(
    make_model: Callable[..., Path], make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    model = make_model()
    corpus = make_corpus(model, [TOO_LONG], max_tokens=64)
    assert corpus.facts.longest_sequence == 64
    assert do_fit(model, corpus, tmp_path / "factors")[1] == []


def test_a_corpus_of_an_earlier_version_is_read_once_instead(
    make_model: Callable[..., Path], make_corpus: MakeCorpus
) -> None:
    corpus = make_corpus(make_model())
    facts = corpus.facts

    def forget(properties: dict[str, Any]) -> None:
        del properties["counts"]["largest_token_id"], properties["counts"]["trained_tokens"]

    older = rewrite(corpus, forget).facts
    assert (older.largest_token_id, older.trained_tokens) == (facts.largest_token_id, facts.trained_tokens)
    assert facts.trained_tokens == sum(len(text) - 1 for text in TEXTS)


def test_a_fit_warns_where_the_corpus_is_larger_than_the_training_set_that_was_given(
    make_model: Callable[..., Path], make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    model = make_model()
    warnings = do_fit(model, make_corpus(model), tmp_path / "factors", training_sequences=2)[1]
    assert warnings == ["CORPUS_LARGER_THAN_TRAINING_SET"]


def test_a_worker_refuses_before_there_is_an_engine_and_knows_where_n_is_from(
    make_model: Callable[..., Path], make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    """Broken by: asking the engine first, which reads the weights; N of the factors whatever is set."""
    model = make_model()
    corpus = make_corpus(model)
    do_fit(model, corpus, tmp_path / "factors")
    other = make_corpus(model, [*TEXTS, "another"], "other")
    long = make_corpus(model, [TOO_LONG], "long")

    def settings(corpus: Corpus, **changed: Any) -> WorkerSettings:
        given = {"model": str(model), "factors": tmp_path / "factors", "corpus": corpus.path, "device": "cpu"}
        return WorkerSettings(**{**given, **changed})

    def engine(_: object) -> Any:
        raise AssertionError("an engine was made")

    with pytest.raises(WhenceError) as caught:
        load(settings(long), engine)
    assert caught.value.reason == "CORPUS_LENGTH_MISMATCH"
    loaded = load(settings(other, training_sequences=1000))
    assert [warning.reason for warning in loaded.warnings] == ["FACTORS_OF_OTHER_CORPUS"]
    assert (loaded.training_set_size, loaded.training_set_source) == (1000, "worker")
    loaded = load(settings(corpus))
    assert (loaded.training_set_size, loaded.training_set_source, loaded.warnings) == (3, "corpus", ())


def test_an_inspection_tells_all_that_is_wrong_at_once(
    make_model: Callable[..., Path], make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    corpus = make_corpus(make_model("of-the-corpus"), [TOO_LONG])
    found = inspect(Named(model=str(make_model("other", characters=REVERSED)), corpus=corpus.path)).findings()
    assert [finding.reason for finding in found] == ["CORPUS_TOKENIZER_MISMATCH", "CORPUS_LENGTH_MISMATCH"]


def test_a_corpus_is_cut_to_what_the_model_takes_unless_it_is_told_else(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    """Broken by: 512 tokens whatever the model takes, found out by the fit."""
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": TOO_LONG}) + "\n")

    def corpus(out: str, *options: str) -> Any:
        command = ["corpus", str(texts), "--model", str(make_model()), "--out", str(tmp_path / out), *options]
        return CliRunner().invoke(cli.app, command, env={"COLUMNS": "200"})

    assert "Warning" not in corpus("cut").output
    assert Corpus.open(tmp_path / "cut").facts.longest_sequence == 64
    told = corpus("long", "--max-tokens", "80")
    assert told.exit_code == 0, told.output
    assert "SEQUENCES_TOO_LONG_FOR_MODEL" in told.output
    assert "CORPUS_LENGTH_MISMATCH" in told.output
