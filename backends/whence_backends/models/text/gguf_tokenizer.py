"""The pre-tokenizer of a GGUF file, for names that ``transformers`` does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

# Names of llama.cpp (``tokenizer.ggml.pre``) for GPT-2's rule, the default of a byte-level tokenizer.
_AS_GPT2: Final = frozenset({"gpt-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "phi-2", "roberta-bpe"})
# The same rule after splitting digits.
_DIGITS_FIRST: Final = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})


def cut_as_the_file_says(pretrained: Any, path: Path) -> str:  # noqa: ANN401 - transformers has no types
    """Correct the pre-tokenizer of a tokenizer made from a GGUF file. Return a caveat if its rule is unknown, or ""."""
    kind, rule = _stated(path)
    if kind != "gpt2" or rule in _AS_GPT2 or rule in _known_to_transformers():
        return ""
    if rule in _DIGITS_FIRST:
        from tokenizers import pre_tokenizers

        pretrained.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        return ""
    stated = f"says {rule!r}, which is not known here" if rule else "does not say it"
    return (
        f"how text is cut before merges apply is taken to be as for GPT-2, since the GGUF file {stated}: other tokens "
        "than the model was trained on may come of it; give the Hugging Face folder with its tokenizer.json"
    )


def _stated(path: Path) -> tuple[str, str]:
    """Return ``tokenizer.ggml.model`` and ``tokenizer.ggml.pre``, empty if the file lacks them."""
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(path))
    return str(metadata.get("tokenizer.ggml.model", "")), str(metadata.get("tokenizer.ggml.pre", ""))


def _known_to_transformers() -> frozenset[str]:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return frozenset(GGUF_PRE_TOKENIZER_SPLITS)
