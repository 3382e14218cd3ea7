"""The tiny tokenizer that the tests of the corpus train, in a model's folder."""

from corpus.conftest import jsonl, tiny_folder, tokenizer, write_model

__all__ = ["jsonl", "tiny_folder", "tokenizer", "write_model"]
