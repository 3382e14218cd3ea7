"""Served models."""

from __future__ import annotations

from whence import models
from whence.parsing.certificates import parse_certificate
from whence.parsing.metadata import parse_warnings
from whence.v1 import model_pb2


def model(proto: model_pb2.Model) -> models.Model:
    """Return one served model."""
    limits = proto.limits
    return models.Model(
        name=proto.name,
        model_digest=proto.model_digest,
        factors_digest=proto.factors_digest,
        corpus_digest=proto.corpus_digest,
        layers=tuple(models.Layer(name=layer.name, d_in=layer.d_in, d_out=layer.d_out) for layer in proto.layers),
        parameters=proto.parameters,
        attributed_parameters=proto.attributed_parameters,
        corpus_sequences=proto.corpus_sequences,
        corpus_tokens=proto.corpus_tokens,
        training_set_size=proto.training_set_size,
        training_set_source=proto.training_set_source,
        default_damping_factor=proto.default_damping_factor,
        engine=proto.engine,
        limits=models.Limits(
            max_query_tokens=limits.max_query_tokens,
            max_top_k=limits.max_top_k,
            max_queries=limits.max_queries,
            max_score_sequences=limits.max_score_sequences,
            max_batch_queries=limits.max_batch_queries,
        ),
        shards=tuple(models.Shard(name=shard.shard, replicas=shard.replicas) for shard in proto.shards),
        warnings=parse_warnings(proto.warnings),
        index=_index(proto.index) if proto.HasField("index") else None,
        gradient_error=proto.gradient_error if proto.HasField("gradient_error") else None,
        dead_layers=tuple(proto.dead_layers),
        certificate=parse_certificate(proto.certificate) if proto.HasField("certificate") else None,
    )


def _index(proto: model_pb2.Index) -> models.Index:
    return models.Index(
        digest=proto.digest,
        values=proto.values,
        bits=proto.bits,
        bytes_per_sequence=proto.bytes_per_sequence,
        damping_factor=proto.damping_factor,
        kept=proto.kept,
    )
