"""Models as users name them: where their files are, their digest, and their tokenizers. No torch."""

from whence_backends.models.source import ModelLocation, ModelSource, locate_model, resolve_model
from whence_backends.models.text.tokenizer import Tokenizer

__all__ = ["ModelLocation", "ModelSource", "Tokenizer", "locate_model", "resolve_model"]
