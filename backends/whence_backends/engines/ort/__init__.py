"""The ``ort`` engine: exports of ``whence export``, run by ONNX Runtime on CUDA or CPU, without torch."""

from whence_backends.engines.ort.engine import OrtEngine, create

__all__ = ["OrtEngine", "create"]
