"""The checks as functions of facts: which artefacts belong together, which do not, and what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whence.errors import InvalidRequestError, MismatchError
from whence_backends.preflight import (
    CertificateFacts,
    CorpusFacts,
    FactorsFacts,
    IndexFacts,
    ModelFacts,
    preflight,
    require,
)

MODEL = ModelFacts(name="m", digest="M", tokenizer_digest="T", tokenizer_size=50, vocabulary_size=64, max_tokens=32)
CORPUS = CorpusFacts(
    name="c", digest="C", tokenizer_digest="T", sequences=10, longest_sequence=32, largest_token_id=63, trained_tokens=9
)
FACTORS = FactorsFacts(name="f", digest="F", model_digest="M", corpus_digest="C", training_set_size=10)
INDEX = IndexFacts(name="i", digest="I", model_digest="M", factors_digest="F", corpus_digest="C")

CERTIFICATE = CertificateFacts(
    name="t", proxy=False, model_digest="M", factors_digest="F", corpus_digest="C", index_digest="I"
)
PROXY = replace(CERTIFICATE, proxy=True, model_digest="P", factors_digest="Q", index_digest="R")


def reasons(**changed: object) -> list[str]:
    facts = {
        "model": MODEL,
        "corpus": CORPUS,
        "factors": FACTORS,
        "index": INDEX,
        "certificate": CERTIFICATE,
        **changed,
    }
    return [finding.reason for finding in preflight(**facts)]  # type: ignore[arg-type]


def test_what_belongs_together_has_no_finding_at_the_very_bounds() -> None:
    """The longest sequence is as long as the model takes, the largest id the last row. Broken by: < for <=."""
    assert reasons() == []


def test_what_is_not_known_is_not_judged() -> None:
    unknown = ModelFacts(name="m", digest="M")
    corpus = replace(CORPUS, tokenizer_digest="", longest_sequence=10**6, largest_token_id=10**6)
    assert reasons(model=unknown, corpus=corpus) == []
    assert reasons(corpus=None, factors=None, index=None) == []
    assert reasons(factors=replace(FACTORS, layers=("a",))) == []
    assert reasons(certificate=replace(CERTIFICATE, index_digest="")) == []
    assert reasons(index=None) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"corpus": replace(CORPUS, tokenizer_digest="U")}, "CORPUS_TOKENIZER_MISMATCH"),
        ({"corpus": replace(CORPUS, longest_sequence=33)}, "CORPUS_LENGTH_MISMATCH"),
        ({"corpus": replace(CORPUS, largest_token_id=64)}, "TOO_LARGE_TOKEN_ID"),
        ({"factors": replace(FACTORS, model_digest="N")}, "FACTORS_MODEL_MISMATCH"),
        (
            {"model": replace(MODEL, layers=("a",)), "factors": replace(FACTORS, layers=("b",))},
            "FACTORS_LAYERS_MISMATCH",
        ),
        ({"index": replace(INDEX, model_digest="N")}, "INDEX_MODEL_MISMATCH"),
        ({"index": replace(INDEX, factors_digest="G")}, "INDEX_FACTORS_MISMATCH"),
        ({"index": replace(INDEX, corpus_digest="D")}, "INDEX_CORPUS_MISMATCH"),
        ({"certificate": replace(CERTIFICATE, model_digest="N")}, "CERTIFICATE_MODEL_MISMATCH"),
        ({"certificate": replace(CERTIFICATE, factors_digest="G")}, "CERTIFICATE_FACTORS_MISMATCH"),
        ({"certificate": replace(CERTIFICATE, corpus_digest="D")}, "CERTIFICATE_CORPUS_MISMATCH"),
        ({"certificate": replace(CERTIFICATE, index_digest="J")}, "CERTIFICATE_INDEX_MISMATCH"),
        ({"certificate": replace(PROXY, corpus_digest="D")}, "CERTIFICATE_CORPUS_MISMATCH"),
    ],
)
def test_what_does_not_belong_together_is_refused(changed: dict[str, object], reason: str) -> None:
    facts = {"model": MODEL, "corpus": CORPUS, "factors": FACTORS, "index": INDEX, **changed}
    with pytest.raises(MismatchError) as caught:
        require(preflight(**facts))  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_a_proxys_certificate_names_a_model_of_its_own() -> None:
    """Broken by: comparing it, or letting it pass for another corpus."""
    assert reasons(certificate=PROXY) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"sequences": 0, "trained_tokens": 0}, "EMPTY_CORPUS"), ({"trained_tokens": 0}, "MISSING_TRAINED_TOKENS")],
)
def test_a_corpus_with_nothing_to_attribute_is_refused(changed: dict[str, int], reason: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        require(preflight(model=MODEL, corpus=replace(CORPUS, **changed)))  # type: ignore[arg-type]
    assert (caught.value.reason, caught.value.field) == (reason, "corpus")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"factors": replace(FACTORS, corpus_digest="D")}, "FACTORS_OF_OTHER_CORPUS"),
        ({"factors": replace(FACTORS, training_set_size=9)}, "CORPUS_LARGER_THAN_TRAINING_SET"),
        ({"training_sequences": 9}, "CORPUS_LARGER_THAN_TRAINING_SET"),
        ({"model": replace(MODEL, tokenizer_size=65)}, "TOKENIZER_LARGER_THAN_MODEL"),
        ({"model": replace(MODEL, tokenizer_digest="", tokenizer_size=None)}, "MISSING_TOKENIZER"),
        ({"model": replace(MODEL, unverified="it has no tokenizer.json")}, "UNVERIFIED_TOKENIZER"),
    ],
)
def test_what_one_should_know_is_a_warning(changed: dict[str, object], reason: str) -> None:
    facts = {"model": MODEL, "corpus": CORPUS, "factors": FACTORS, "index": INDEX, **changed}
    assert [warning.reason for warning in require(preflight(**facts))] == [reason]  # type: ignore[arg-type]


def test_a_training_set_that_was_given_counts_and_not_that_of_the_factors() -> None:
    assert reasons(factors=replace(FACTORS, training_set_size=9), training_sequences=1000) == []


def test_every_message_says_what_to_try() -> None:
    bad = replace(CORPUS, tokenizer_digest="U", longest_sequence=99, largest_token_id=99)
    other = replace(FACTORS, model_digest="N", corpus_digest="D", training_set_size=1)
    found = list(preflight(model=MODEL, corpus=bad, factors=other, index=replace(INDEX, factors_digest="G")))
    assert len(found) == 7
    assert all(any(word in one.message for word in ("ingest", "fit", "build", "give")) for one in found)


class Loaded:
    """An engine that has loaded the model and the factors."""

    engine, model_digest, factors_digest, vocabulary_size, max_tokens = "ort", "M", "F", 64, 32


@pytest.mark.parametrize("change", [{"model_digest": "N"}, {"factors_digest": "G"}], ids=str)
def test_an_engine_that_holds_another_model_or_other_factors_is_refused(change: dict[str, str]) -> None:
    engine = Loaded()
    assert [*preflight(model=MODEL, factors=FACTORS, engine=engine)] == []
    vars(engine).update(change)
    found = [finding.reason for finding in preflight(model=MODEL, factors=FACTORS, engine=engine)]
    assert found == ["ENGINE_FACTORS_MISMATCH"]


def test_what_a_loaded_model_takes_wins_over_its_configuration() -> None:
    """Broken by: checking the corpus against what the configuration says alone."""
    engine = Loaded()
    vars(engine).update(max_tokens=2)
    found = [finding.reason for finding in preflight(model=MODEL, corpus=CORPUS, engine=engine)]
    assert found == ["CORPUS_LENGTH_MISMATCH"]
