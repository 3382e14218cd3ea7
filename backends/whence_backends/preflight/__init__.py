"""Whether a model, corpus, factors, index, certificate and engine belong together, decided before the first batch.

Each artefact gives facts about itself, which are plain data. The checks are functions of facts alone. Every job, every
engine and every worker asks these checks, and nothing else decides the question.
"""

from whence_backends.preflight.checks import cutting, factors_of_layers, factors_of_model, preflight
from whence_backends.preflight.facts import (
    CertificateFacts,
    CorpusFacts,
    EngineFacts,
    FactorsFacts,
    IndexFacts,
    ModelFacts,
)
from whence_backends.preflight.findings import Finding, require

__all__ = [
    "CertificateFacts",
    "CorpusFacts",
    "EngineFacts",
    "FactorsFacts",
    "Finding",
    "IndexFacts",
    "ModelFacts",
    "cutting",
    "factors_of_layers",
    "factors_of_model",
    "preflight",
    "require",
]
