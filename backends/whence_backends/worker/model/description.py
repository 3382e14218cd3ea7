"""The description of a model, as it is listed, with warnings for its users."""

from __future__ import annotations

from collections.abc import Iterable

from whence.reasons import WarningCode
from whence.v1 import attribution_pb2, model_pb2
from whence_backends.contract import EngineInfo
from whence_backends.index import Index
from whence_backends.preflight import Finding
from whence_backends.worker.config import WorkerSettings
from whence_backends.worker.model.certificate import certificate_message
from whence_backends.worker.model.loading import Loaded
from whence_backends.worker.requests.tokenization import QueryLimits
from whence_backends.worker.scoring.query_memory import DEFAULT_RANK, QueryMemory


def describe_model(
    loaded: Loaded, settings: WorkerSettings, limits: QueryLimits, memory: QueryMemory
) -> model_pb2.Model:
    """Describe the served model. The front end adds its shards and its own limits."""
    engine, corpus = loaded.engine.info, loaded.corpus
    return model_pb2.Model(
        name=settings.served_name,
        model_digest=engine.model_digest,
        factors_digest=engine.factors_digest,
        corpus_digest=corpus.digest,
        layers=[model_pb2.Layer(name=layer.name, d_in=layer.d_in, d_out=layer.d_out) for layer in engine.layers],
        parameters=engine.parameters,
        attributed_parameters=engine.attributed_parameters,
        gradient_error=None if engine.self_check is None else engine.self_check.gradient_error,
        dead_layers=engine.dead_layers,
        corpus_sequences=corpus.sequences,
        corpus_tokens=corpus.tokens,
        training_set_size=loaded.training_set_size,
        training_set_source=loaded.training_set_source,
        default_damping_factor=settings.default_damping_factor,
        engine=f"{engine.engine}/{engine.precision}",
        limits=model_pb2.Limits(
            max_query_tokens=limits.max_tokens,
            max_queries=memory.max_queries(),
            max_batch_queries=memory.max_queries(DEFAULT_RANK),
            max_text_bytes=limits.max_bytes,
        ),
        index=None if loaded.index is None else _index(loaded.index),
        certificate=None if loaded.certificate is None else certificate_message(loaded.certificate),
        warnings=[*_unattributed(engine), *_dead(engine), *_of_findings(loaded.warnings)],
    )


def _index(index: Index) -> model_pb2.Index:
    card = index.card
    return model_pb2.Index(
        digest=index.digest,
        values=card.width,
        bits=card.bits,
        bytes_per_sequence=card.bytes_per_sequence,
        damping_factor=card.damping_factor,
        kept=card.keep,
    )


def _dead(engine: EngineInfo) -> list[attribution_pb2.Warning]:
    if not engine.dead_layers:
        return []
    return [
        attribution_pb2.Warning(
            code=WarningCode.DEAD_LAYERS,
            message=f"no gradient reached {len(engine.dead_layers)} of the {len(engine.layers)} tracked layers when "
            f"the factors were fitted, such as {engine.dead_layers[0]}: influence through them is 0",
        )
    ]


def _of_findings(findings: Iterable[Finding]) -> list[attribution_pb2.Warning]:
    return [attribution_pb2.Warning(code=finding.reason, message=finding.message) for finding in findings]


def _unattributed(engine: EngineInfo) -> list[attribution_pb2.Warning]:
    missing = engine.parameters - engine.attributed_parameters
    if missing <= 0:
        return []
    share = missing / engine.parameters
    return [
        attribution_pb2.Warning(
            code=WarningCode.UNATTRIBUTED_PARAMETERS,
            message=f"{share:.1%} of the model's parameters ({missing:,} of {engine.parameters:,}: "
            "embeddings, normalization and whatever else is not a tracked linear layer) take no part: "
            "influence that passes through them is not counted",
        )
    ]
