"""What others read of a loaded model: its text part, how many tokens it knows and how many it takes. No torch needed.

Configurations say these things in many ways, nested for models that also see or hear, and not always truly. So the
vocabulary is counted in the embeddings, and tables of learned positions bound the length whatever is configured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# How long a sequence may be where the model sets no bound: positions that are relative, or a state instead of them.
UNBOUNDED_TOKENS: Final = 1 << 20
# What configurations call it: most; GPT-2's family and CTRL; MPT and DBRX; Kimi; Whisper's decoder.
_LENGTHS: Final = ("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length", "max_target_positions")


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The longest sequence that a model takes, and the number of its tokens: ids are below ``vocabulary_size``."""

    max_tokens: int
    vocabulary_size: int

    @classmethod
    def of(cls, model: Any) -> ModelShape:  # noqa: ANN401 - transformers' models have no common type
        """Read the shape of a loaded causal language model."""
        lengths = [stated_length(text_config(model.config)), *_position_tables(text_part(model))]
        sizes = [module.weight.shape[0] for module in _token_tables(model)]
        return cls(max_tokens=min(lengths), vocabulary_size=min(sizes))


def text_config(config: Any) -> Any:  # noqa: ANN401 - transformers' configurations have no common type
    """Return the part of a configuration that describes the language model: all of it, for a model of text alone."""
    try:
        return config.get_text_config(decoder=True)
    except ValueError:  # several parts read or write text; none is the one
        return config


def stated_length(config: Any) -> int:  # noqa: ANN401
    """Return the longest sequence that a text configuration names, or :data:`UNBOUNDED_TOKENS` where it names none."""
    stated = (getattr(config, name, None) for name in _LENGTHS)
    return next((int(length) for length in stated if isinstance(length, int) and length > 0), UNBOUNDED_TOKENS)


def text_part(model: Any) -> Any:  # noqa: ANN401
    """Return the module that turns tokens into hidden states, without the towers for images and sound beside it."""
    part = model.get_decoder()
    return part if hasattr(part, "config") else model.base_model


def _token_tables(model: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield the embeddings of the input and, where there are any, of the output; a few models pad one of them."""
    yield model.get_input_embeddings()
    output = model.get_output_embeddings()
    if getattr(output, "weight", None) is not None and output.weight.dim() == 2:
        yield output


def _position_tables(part: Any) -> Iterator[int]:  # noqa: ANN401
    """Yield how many tokens each table of learned positions is good for."""
    own = type(text_config(part.config))
    for path, module in part.named_modules():
        rows = getattr(module, "num_embeddings", None)
        if rows is None or "pos" not in path.rpartition(".")[2] or _is_of_another(part, path, own):
            continue
        # OPT's and BART's begin behind two unused rows, RoBERTa's behind that of padding.
        padding = getattr(module, "padding_idx", None)
        yield rows - getattr(module, "offset", 0 if padding is None else padding + 1)


def _is_of_another(part: Any, path: str, own: type) -> bool:  # noqa: ANN401
    """Return whether a module lies in a model with a configuration of another kind, as an image's tower has."""
    names = path.split(".")
    above = (part.get_submodule(".".join(names[:end])) for end in range(1, len(names)))
    return any(hasattr(module, "config") and type(text_config(module.config)) is not own for module in above)
