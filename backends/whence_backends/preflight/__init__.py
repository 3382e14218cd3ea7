"""What can be known before the first batch: whether a model, a corpus, factors and an index belong together.

Facts are plain data that each artefact gives of itself; checks are functions of facts alone, and every job and every
worker asks the same ones.
"""

from whence_backends.preflight.checks import cutting, preflight
from whence_backends.preflight.facts import CorpusFacts, FactorsFacts, IndexFacts, ModelFacts
from whence_backends.preflight.findings import Finding, require

__all__ = ["CorpusFacts", "FactorsFacts", "Finding", "IndexFacts", "ModelFacts", "cutting", "preflight", "require"]
