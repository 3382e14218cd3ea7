"""The class of transformers that loads a model. Models other than causal language models are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from whence.errors import InvalidRequestError, UnimplementedError
from whence.reasons import Reason
from whence_backends.models.files import CONFIG, read_json, stored_types
from whence_backends.models.shape import text_config

# The types of safetensors that are not quantized.
_NUMBERS: Final = frozenset({"F64", "F32", "F16", "BF16"})


def require_known_architecture(folder: Path) -> None:
    """Refuse a folder whose model type is unknown to transformers, or whose weights are quantized.

    Raises :class:`~whence.errors.InvalidRequestError` with reason ``UNKNOWN_ARCHITECTURE`` or ``INVALID_MODEL_FILE``,
    and :class:`~whence.errors.UnimplementedError` with reason ``UNKNOWN_QUANTIZATION``.
    """
    from transformers import CONFIG_MAPPING, __version__

    config = read_json(folder / CONFIG)
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise InvalidRequestError(
            f"{folder / CONFIG} names no model_type; expected the configuration that the model was saved with, such as "
            'one with "model_type": "llama"',
            reason=Reason.INVALID_MODEL_FILE,
            field="model",
        )
    if kind not in CONFIG_MAPPING:
        code = (
            "the model comes with code of its own, and Whence runs none but transformers'"
            if config.get("auto_map")
            else ""
        )
        raise _unknown(folder, f"transformers {__version__} has no architecture {kind!r}", code)
    _require_unquantized(folder, config)


def auto_class(config: Any, reference: str) -> Any:  # noqa: ANN401 - transformers' classes have no common type
    """Return the factory that loads a configuration's language model, with its vision and audio towers.

    Raises :class:`~whence.errors.InvalidRequestError` (``UNKNOWN_ARCHITECTURE``) for models that are not decoders of
    text.
    """
    from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM

    if any(getattr(part, "is_encoder_decoder", False) for part in (config, text_config(config))):
        raise _unknown(reference, f"{config.model_type!r} is an encoder with a decoder here")
    # Towers are loaded too, so that every weight of the checkpoint has a parameter.
    several = text_config(config) is not config
    for factory in (AutoModelForMultimodalLM, AutoModelForCausalLM) if several else (AutoModelForCausalLM,):
        if type(config) in factory._model_mapping:
            return factory
    raise _unknown(reference, f"transformers has no language model of type {config.model_type!r}")


def _require_unquantized(folder: Path, config: Mapping[str, Any]) -> None:
    method = _quantization(config) or next((kind for kind in stored_types(folder) if kind not in _NUMBERS), "")
    if method:
        raise UnimplementedError(
            f"the weights of {folder} are quantized ({method}), and influences need the layers that they stand for; "
            "name the model that they were made from, or unpack them: from_pretrained(folder), dequantize(), "
            "save_pretrained(out)",
            reason=Reason.UNKNOWN_QUANTIZATION,
            model=folder,
        )


def _quantization(config: Mapping[str, Any]) -> str:
    """Return the quantization method that a configuration or a part of it names, or an empty string."""
    for part in (config, *(part for part in config.values() if isinstance(part, dict))):
        settings = part.get("quantization_config") or part.get("compression_config")
        if settings:
            return str(settings.get("quant_method", "somehow")) if isinstance(settings, dict) else "somehow"
    return ""


def _unknown(model: object, what: str, more: str = "") -> InvalidRequestError:
    return InvalidRequestError(
        f"{model} cannot be loaded: {what}{'; ' if more else ''}{more}; expected a causal language model that "
        "transformers itself has",
        reason=Reason.UNKNOWN_ARCHITECTURE,
        field="model",
    )
