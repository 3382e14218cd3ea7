"""The shape of a loaded model: its text part, its vocabulary and its longest sequence. No torch needed.

Configurations state these in many ways, nested for multimodal models, and not always correctly. The vocabulary is
therefore read from the embeddings, and tables of learned positions limit the length whatever is configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

# The longest sequence of a model without a limit: one with relative positions, or with a state instead.
UNBOUNDED_TOKENS: Final = 1 << 20
# Its names in configurations: most; GPT-2's family and CTRL; MPT and DBRX; Kimi; Whisper's decoder.
_LENGTHS: Final = ("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length", "max_target_positions")

# The names of vision and audio towers in configurations.
_TOWER: Final = re.compile("vision|image|video|vq|audio|speech")


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The longest sequence that a model accepts, and its vocabulary size, which bounds token ids."""

    max_tokens: int
    vocabulary_size: int

    @classmethod
    def of(cls, model: Any) -> ModelShape:  # noqa: ANN401 - transformers' models have no common type
        """Read the shape of a loaded causal language model."""
        lengths = [stated_length(text_config(model.config)), *_position_tables(text_part(model))]
        sizes = [module.weight.shape[0] for module in _token_tables(model)]
        return cls(max_tokens=min(lengths), vocabulary_size=min(sizes))


def text_config(config: Any) -> Any:  # noqa: ANN401 - transformers' configurations have no common type
    """Return the part of a configuration that describes the language model; the whole of it for a text-only model."""
    try:
        return config.get_text_config(decoder=True)
    except ValueError:  # several parts read or write text
        return config


def stated_length(config: Any) -> int:  # noqa: ANN401
    """Return the longest sequence that a text configuration states, or :data:`UNBOUNDED_TOKENS` if it states none."""
    stated = (getattr(config, name, None) for name in _LENGTHS)
    return next((int(length) for length in stated if isinstance(length, int) and length > 0), UNBOUNDED_TOKENS)


def text_part(model: Any) -> Any:  # noqa: ANN401
    """Return the module that turns tokens into hidden states, without vision and audio towers."""
    part = model.get_decoder()
    return part if hasattr(part, "config") else model.base_model


def _token_tables(model: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield the input embeddings and, if there are any, the output embeddings; a few models pad one of them."""
    yield model.get_input_embeddings()
    output = model.get_output_embeddings()
    if getattr(output, "weight", None) is not None and output.weight.dim() == 2:
        yield output


def _position_tables(part: Any) -> Iterator[int]:  # noqa: ANN401
    """Yield the number of tokens that each table of learned positions supports."""
    towers = _towers_within(part)
    for path, module in part.named_modules():
        rows = getattr(module, "num_embeddings", None)
        if rows is None or "pos" not in path.rpartition(".")[2] or is_within(path, towers):
            continue
        # Those of OPT and BART start after two unused rows, that of RoBERTa after the padding's.
        padding = getattr(module, "padding_idx", None)
        yield rows - getattr(module, "offset", 0 if padding is None else padding + 1)


def towers_of(model: Any) -> list[str]:  # noqa: ANN401
    """Return the paths of a model's vision and audio towers, which text does not pass through."""
    names = {id(module): name for name, module in model.named_modules()}
    part = text_part(model)
    path = names[id(part)]
    towers = [f"{path}.{name}".lstrip(".") for name in _towers_within(part)]
    if text_config(model.config) is model.config:
        return towers
    while part is not model.base_model and path:  # the siblings of the text part, up to the body of the model
        path = path.rpartition(".")[0]
        body = model.get_submodule(path)
        beside = (child for child in body.children() if id(part) not in map(id, child.modules()))
        towers += [names[id(child)] for child in beside]
        part = body
    return towers


def is_within(path: str, modules: Iterable[str]) -> bool:
    """Return true for the path of one of some modules, or of a module inside one."""
    return any(path == module or path.startswith(f"{module}.") for module in modules)


def _towers_within(part: Any) -> list[str]:  # noqa: ANN401
    """Return the paths of submodules whose configuration is that of a tower."""
    kinds = tuple(kind for name, kind in type(part.config).sub_configs.items() if _TOWER.search(name))
    towers: list[str] = []
    for path, module in part.named_modules():
        if isinstance(getattr(module, "config", None), kinds) and not is_within(path, towers):
            towers.append(path)
    return towers
