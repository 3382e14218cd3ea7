"""The checks: pure functions of facts. A check of an unknown fact passes; it is repeated once the model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from whence.errors import InvalidRequestError, MismatchError
from whence.reasons import Reason, WarningCode
from whence_backends.preflight.facts import (
    CertificateFacts,
    CorpusFacts,
    EngineFacts,
    FactorsFacts,
    IndexFacts,
    ModelFacts,
)
from whence_backends.preflight.findings import Finding, refusal, warning


def preflight(
    *,
    model: ModelFacts,
    corpus: CorpusFacts | None = None,
    factors: FactorsFacts | None = None,
    index: IndexFacts | None = None,
    certificate: CertificateFacts | None = None,
    engine: EngineFacts | None = None,
    training_sequences: int | None = None,
) -> Iterator[Finding]:
    """Yield the findings about these artefacts: refusals where they do not belong together, and warnings.

    ``engine`` has loaded the model and the factors. ``training_sequences`` is the size of the training set where it
    was given, instead of that of the factors.
    """
    if engine is not None:
        model = replace(model, vocabulary_size=engine.vocabulary_size, max_tokens=engine.max_tokens)
        if factors is not None:
            yield from _engine_of_factors(engine, factors)
    yield from _model_alone(model)
    if factors is not None:
        yield from factors_of_model(factors, model)
    if corpus is not None:
        yield from _corpus_alone(corpus)
        yield from _corpus_of_model(corpus, model)
    if factors is not None and corpus is not None:
        yield from _factors_of_corpus(factors, corpus)
        yield from _training_set(training_sequences or factors.training_set_size, corpus)
    elif corpus is not None and training_sequences is not None:
        yield from _training_set(training_sequences, corpus)
    if index is not None:
        yield from _index_of(index, model, factors, corpus)
    if certificate is not None:
        yield from _certificate_of(certificate, model, factors, corpus, index)


def cutting(model: ModelFacts, max_tokens: int) -> Iterator[Finding]:
    """Yield warnings about cutting text into sequences of up to ``max_tokens`` for a model."""
    yield from _model_alone(model)
    if model.max_tokens is not None and max_tokens > model.max_tokens:
        yield warning(
            WarningCode.SEQUENCES_TOO_LONG_FOR_MODEL,
            f"sequences of up to {max_tokens:,} tokens are cut, but {model.name} takes at most {model.max_tokens:,}: a "
            f"corpus with a longer one cannot be used with it; give --max-tokens {model.max_tokens} or less",
        )


def _model_alone(model: ModelFacts) -> Iterator[Finding]:
    if model.unverified:
        yield warning(WarningCode.UNVERIFIED_TOKENIZER, f"{model.name}: {model.unverified}")
    if model.tokenizer_size is not None and model.vocabulary_size is not None:
        beyond = model.tokenizer_size - model.vocabulary_size
        if beyond > 0:
            yield warning(
                WarningCode.TOKENIZER_LARGER_THAN_MODEL,
                f"the tokenizer of {model.name} has {model.tokenizer_size:,} tokens, the model knows "
                f"{model.vocabulary_size:,}: a text with one of the last {beyond:,} is refused; add them to the model "
                "(resize_token_embeddings, and train them), or take them out of the tokenizer",
            )


def _corpus_alone(corpus: CorpusFacts) -> Iterator[Finding]:
    if corpus.sequences == 0:
        yield refusal(
            InvalidRequestError(
                f"the corpus in {corpus.name} has no sequences; make it of texts that have some",
                reason=Reason.EMPTY_CORPUS,
                field="corpus",
            )
        )
    elif corpus.trained_tokens == 0:
        yield refusal(
            InvalidRequestError(
                f"no token of the {corpus.sequences:,} sequences in {corpus.name} counts as trained on: each is one "
                "token long, or its weights are all 0, and there is nothing to attribute; make the corpus of longer "
                "sequences, or of completions that were trained on",
                reason=Reason.MISSING_TRAINED_TOKENS,
                field="corpus",
            )
        )


def _corpus_of_model(corpus: CorpusFacts, model: ModelFacts) -> Iterator[Finding]:
    names = {"corpus": corpus.name, "model": model.name}
    if corpus.tokenizer_digest and not model.tokenizer_digest:
        yield warning(
            WarningCode.MISSING_TOKENIZER,
            f"{model.name} has no tokenizer: nothing tells whether the corpus in {corpus.name} was made for it; "
            "put the model's tokenizer.json beside it",
        )
    if model.tokenizer_digest and corpus.tokenizer_digest and model.tokenizer_digest != corpus.tokenizer_digest:
        yield refusal(
            MismatchError(
                f"the corpus in {corpus.name} was tokenized with another tokenizer ({corpus.tokenizer_digest}) than "
                f"that of {model.name} ({model.tokenizer_digest}); ingest it again with this model",
                reason=Reason.CORPUS_TOKENIZER_MISMATCH,
                **names,
            )
        )
    if model.max_tokens is not None and corpus.longest_sequence > model.max_tokens:
        yield refusal(
            MismatchError(
                f"the corpus in {corpus.name} has a sequence of {corpus.longest_sequence:,} tokens; {model.name} takes "
                f"at most {model.max_tokens:,}: ingest it again with --max-tokens {model.max_tokens} or less",
                reason=Reason.CORPUS_LENGTH_MISMATCH,
                **names,
            )
        )
    if model.vocabulary_size is not None and corpus.largest_token_id >= model.vocabulary_size:
        yield refusal(
            MismatchError(
                f"the corpus in {corpus.name} has the token id {corpus.largest_token_id:,}; the embeddings of "
                f"{model.name} have {model.vocabulary_size:,} rows, for the ids 0 to {model.vocabulary_size - 1:,}: "
                "the tokenizer has tokens that the model was not trained on. Give the model as it was trained (with "
                "resize_token_embeddings, if tokens were added), or take them out of the tokenizer and ingest again",
                reason=Reason.TOO_LARGE_TOKEN_ID,
                **names,
            )
        )


def factors_of_model(factors: FactorsFacts, model: ModelFacts) -> Iterator[Finding]:
    """Yield a refusal where factors were fitted on another model, or on other layers than those that it has fixed."""
    if factors.model_digest != model.digest:
        yield refusal(
            MismatchError(
                f"the factors in {factors.name} were fitted on a model with digest {factors.model_digest}, not on "
                f"{model.name} ({model.digest}); fit factors for this model or serve the model they belong to",
                reason=Reason.FACTORS_MODEL_MISMATCH,
                factors=factors.name,
                model=model.name,
            )
        )
    elif model.layers and factors.layers:
        yield from factors_of_layers(factors, model.layers)


def factors_of_layers(factors: FactorsFacts, layers: Sequence[str]) -> Iterator[Finding]:
    """Yield a refusal unless factors are of just these tracked layers, by name, size and bias, in this order."""
    if factors.layers == tuple(layers):
        return
    pairs = zip(factors.layers, layers, strict=False)
    differing = (f"; the first that differs: {ours} here, {theirs} there" for ours, theirs in pairs if ours != theirs)
    yield refusal(
        MismatchError(
            f"the factors in {factors.name} are of {len(factors.layers)} layers, not of the {len(layers)} that the "
            f"model or its export has{next(differing, '')}; fit factors of those layers, or export the model with "
            f"--factors {factors.name}",
            reason=Reason.FACTORS_LAYERS_MISMATCH,
            factors=factors.name,
        )
    )


def _engine_of_factors(engine: EngineFacts, factors: FactorsFacts) -> Iterator[Finding]:
    if (engine.model_digest, engine.factors_digest) != (factors.model_digest, factors.digest):
        yield refusal(
            MismatchError(
                f"the engine {engine.engine} holds the model {engine.model_digest} and the factors "
                f"{engine.factors_digest}, not those in {factors.name} ({factors.digest}) and their model "
                f"({factors.model_digest}); load the engine with these factors, or start again if the files changed "
                "meanwhile",
                reason=Reason.ENGINE_FACTORS_MISMATCH,
            )
        )


def _factors_of_corpus(factors: FactorsFacts, corpus: CorpusFacts) -> Iterator[Finding]:
    if factors.corpus_digest and factors.corpus_digest != corpus.digest:
        yield warning(
            WarningCode.FACTORS_OF_OTHER_CORPUS,
            f"the factors were fitted on another corpus ({factors.corpus_digest}) than the one that is searched "
            f"({corpus.digest}): the curvature, and N unless it was given, are that one's; fit factors on this corpus "
            "if it is not more of the same",
        )


def _training_set(training_sequences: int, corpus: CorpusFacts) -> Iterator[Finding]:
    if corpus.sequences > training_sequences:
        yield warning(
            WarningCode.CORPUS_LARGER_THAN_TRAINING_SET,
            f"the corpus has {corpus.sequences:,} sequences, but influences are divided by the {training_sequences:,} "
            "of the training set; give the size of the whole training set with --training-sequences",
        )


def _index_of(
    index: IndexFacts, model: ModelFacts, factors: FactorsFacts | None, corpus: CorpusFacts | None
) -> Iterator[Finding]:
    if index.model_digest != model.digest:
        yield _index_of_other(index, "model", index.model_digest, model.digest, reason=Reason.INDEX_MODEL_MISMATCH)
    if factors is not None and index.factors_digest != factors.digest:
        yield _index_of_other(
            index, "factors", index.factors_digest, factors.digest, reason=Reason.INDEX_FACTORS_MISMATCH
        )
    if corpus is not None and index.corpus_digest != corpus.digest:
        yield _index_of_other(index, "corpus", index.corpus_digest, corpus.digest, reason=Reason.INDEX_CORPUS_MISMATCH)


def _index_of_other(index: IndexFacts, what: str, built: str, asked: str, reason: str) -> Finding:
    return refusal(
        MismatchError(
            f"the index in {index.name} was built with the {what} {built}, not with {asked}; build it anew with "
            f"`whence index`, or serve the {what} that it belongs to",
            reason=reason,
            index=index.name,
        )
    )


def _certificate_of(
    certificate: CertificateFacts,
    model: ModelFacts,
    factors: FactorsFacts | None,
    corpus: CorpusFacts | None,
    index: IndexFacts | None,
) -> Iterator[Finding]:
    """Yield a refusal for each artefact that was not measured; of a proxy, which has its own, for the corpus alone."""
    if corpus is not None and certificate.corpus_digest != corpus.digest:
        yield _certificate_of_other(
            certificate, "corpus", certificate.corpus_digest, corpus.digest, reason=Reason.CERTIFICATE_CORPUS_MISMATCH
        )
    if certificate.proxy:
        return
    if certificate.model_digest != model.digest:
        yield _certificate_of_other(
            certificate, "model", certificate.model_digest, model.digest, reason=Reason.CERTIFICATE_MODEL_MISMATCH
        )
    if factors is not None and certificate.factors_digest != factors.digest:
        yield _certificate_of_other(
            certificate,
            "factors",
            certificate.factors_digest,
            factors.digest,
            reason=Reason.CERTIFICATE_FACTORS_MISMATCH,
        )
    if index is not None and certificate.index_digest and certificate.index_digest != index.digest:
        yield _certificate_of_other(
            certificate, "index", certificate.index_digest, index.digest, reason=Reason.CERTIFICATE_INDEX_MISMATCH
        )


def _certificate_of_other(certificate: CertificateFacts, what: str, measured: str, served: str, reason: str) -> Finding:
    return refusal(
        MismatchError(
            f"the certificate in {certificate.name} was measured on the {what} {measured}, not on {served}: it says "
            f"nothing of what is served here; leave it out, or make one of this {what} with `whence validate`",
            reason=reason,
            certificate=certificate.name,
        )
    )
