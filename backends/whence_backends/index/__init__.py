"""The gradient index: training gradients, sketched in the EK-FAC basis at one bit per value, and their search."""

from whence_backends.index.job import IndexConfig, IndexProgress, build_index
from whence_backends.index.storage import Index, IndexCard

__all__ = ["Index", "IndexCard", "IndexConfig", "IndexProgress", "build_index"]
