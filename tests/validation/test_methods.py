"""The methods that are held against retraining, and the scores that they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whence_backends.contract import Float64Array
from whence_backends.validation.methods import Denoised, Scores, denoise, methods, standardized


@pytest.fixture
def scores() -> Scores:
    """Made-up scores of two queries and 400 sequences, of which the first three have an influence of their own."""
    rng = np.random.default_rng(0)
    influence = rng.normal(size=(2, 400))
    influence[:, :3] += 40
    return Scores(
        influence=influence,
        dot=rng.normal(size=(2, 400)),
        norms=np.full(400, 2.0),
        bm25=np.zeros((2, 400)),
        self_influence=np.ones(400),
        log_likelihoods=np.array([-5.0, -6.0]),
        dampings={0.01: influence * 2},
        index=influence / 3,
    )


def none(scores: Scores) -> Denoised:
    return Denoised(signal=scores.influence, significance=np.ones_like(scores.influence))


def test_every_method_scores_every_sequence(scores: Scores):
    table = methods(scores, none(scores))
    assert {values.shape for values in table.values()} == {(2, 400)}
    assert next(iter(table)) == "EK-FAC"
    assert "EK-FAC, damping 0.01" in table
    assert "EK-FAC, all linear layers" not in table
    np.testing.assert_array_equal(table["EK-FAC, positive"] + table["EK-FAC, negative"], scores.influence)
    np.testing.assert_array_equal(table["cosine"], scores.dot / 2)


def test_words_that_no_text_has_change_no_order(scores: Scores):
    both = methods(scores, none(scores))["EK-FAC + BM25"]
    np.testing.assert_array_equal(np.argsort(both), np.argsort(scores.influence))


def test_noise_is_shrunk_and_signal_is_kept(scores: Scores):
    denoised = denoise(scores.influence)
    assert (denoised.significance[:, :3] > 0.95).all()
    assert (np.abs(denoised.signal[:, 3:]) < np.abs(scores.influence[:, 3:])).all()
    np.testing.assert_allclose(denoised.signal[:, :3], scores.influence[:, :3], rtol=0.1)


def test_of_few_sequences_the_noise_is_not_known():
    few: Float64Array = np.array([[3.0, -1.0]])
    denoised = denoise(few)
    np.testing.assert_array_equal(denoised.signal, few)
    assert np.isnan(denoised.significance).all()


def test_scores_are_standardized_by_query():
    values = standardized(np.array([[1.0, 3.0], [5.0, 5.0]]))
    np.testing.assert_array_equal(values, [[-1, 1], [0, 0]])


BANKS = sorted(path.parent for path in (Path(__file__).parents[1] / "banks").glob("*/plan.json"))


@pytest.mark.parametrize("folder", BANKS, ids=lambda folder: folder.name)
def test_a_bank_of_the_repository_is_whole(folder: Path, tmp_path: Path):
    from whence_backends.corpus import Corpus
    from whence_backends.validation.bank import Bank
    from whence_backends.validation.proxy_bank import MODEL, make_corpus
    from whence_backends.validation.queries import read_queries

    bank = Bank.open(folder)
    assert not bank.missing()
    assert len(read_queries(bank.queries_file)) >= 40
    assert (folder / MODEL / "model.safetensors").exists()
    make_corpus(folder / "documents.jsonl", folder / "tokenizer", tmp_path / "corpus")
    corpus = Corpus.open(tmp_path / "corpus")
    documents = [corpus.record(position).document_id for position in range(corpus.sequences)]
    assert bank.outcomes(documents).queries.shape[0] >= 60
    assert set(documents) == set(bank.plan.documents)
