"""Models: their files, digests and tokenizers, from the name that a user gives. No torch."""

from whence_backends.models.source import ModelLocation, ModelSource, locate_model, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer

__all__ = ["ModelLocation", "ModelSource", "Tokenizer", "locate_model", "resolve_model"]
