"""The export job: from a model and its tracked layers to an ONNX graph that an engine without torch can run."""

from whence_backends.export.job import ExportConfig, ExportProgress, export

__all__ = ["ExportConfig", "ExportProgress", "export"]
