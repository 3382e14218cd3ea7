"""Loading a model's tokenizer so that it agrees with the model's tokenizer.json.

Some classes of ``transformers`` read only the vocabulary from tokenizer.json and take normalizer and pre-tokenizer from
their own code. If the model's differ, text becomes other tokens than in training. The tokenizer is therefore compared
with tokenizer.json, component by component and on texts that reveal such differences, and tokenizer.json prevails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from whence.errors import MismatchError, NotFoundError, UnimplementedError
from whence.reasons import Reason
from whence_backends.models.gguf_file import require_whole_gguf
from whence_backends.models.source import ModelLocation, ModelSource
from whence_backends.models.text.gguf_tokenizer import cut_as_the_file_says
from whence_backends.models.text.probes import PROBES

TOKENIZER_JSON: Final = "tokenizer.json"
# Files besides tokenizer.json that declare tokens.
_DECLARING: Final = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_NAMED: Final = ("bos_token", "eos_token", "unk_token", "pad_token")
# Settings of a model besides vocabulary and merges that affect how a word is tokenized.
_MODEL_SETTINGS: Final = (
    "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges",
    "max_input_chars_per_word",
)  # fmt: skip
# Number of added and of other tokens whose text is tokenized for comparison; all are compared by id.
_TRIED_TOKENS: Final = 256


@dataclass(frozen=True, kw_only=True)
class LoadedTokenizer:
    """A tokenizer of ``transformers``; ``unverified`` is a caveat if it could not be verified, otherwise empty."""

    pretrained: Any
    unverified: str = ""


def load_tokenizer(source: ModelSource | ModelLocation) -> LoadedTokenizer:
    """Load the tokenizer of a model, made deterministic, without truncation and padding.

    Raises :class:`~whence.errors.NotFoundError` if there is none, :class:`~whence.errors.UnimplementedError` if a
    package is missing, and :class:`~whence.errors.MismatchError` (``TOKENIZER_MISMATCH``) if the model's other files
    give tokens other ids than tokenizer.json does.
    """
    if source.kind == "gguf":
        require_whole_gguf(source.path)
        pretrained = _from_pretrained(source, gguf_file=source.path.name)
        _settle(pretrained)
        return LoadedTokenizer(pretrained=pretrained, unverified=cut_as_the_file_says(pretrained, source.path))
    if not (source.path / TOKENIZER_JSON).is_file():
        pretrained = _from_pretrained(source)
        _settle(pretrained)
        return LoadedTokenizer(
            pretrained=pretrained,
            unverified=f"the model has no {TOKENIZER_JSON}, so that its tokenizer is what transformers makes of its "
            "other files: save it as a fast one where you can see that it cuts text as in training",
        )
    return LoadedTokenizer(pretrained=_as_in_file(source))


def _as_in_file(source: ModelSource | ModelLocation) -> Any:  # noqa: ANN401 - transformers has no types
    """Return a tokenizer that agrees with tokenizer.json: of the model's class, else of the generic one."""
    file = _read_backend(source)
    try:
        rebuilt = _from_pretrained(source)
        named = _named_tokens(rebuilt, file)
        if not _difference(rebuilt, file, source.path):
            return rebuilt
    except NotFoundError:  # the class that the model names cannot read the file; the generic one can
        if _needs_code(source.path):
            raise
        named = {}
    plain = _from_pretrained(source, plain=True, tokenizer_object=_read_backend(source), **named)
    file = _read_backend(source)
    difference = _other_vocabulary(plain.backend_tokenizer, file, source.path)
    if difference:
        raise MismatchError(
            f"transformers has other tokens than {source.path / TOKENIZER_JSON}: {difference}. One of the two "
            f"is not what the model was trained with: make {TOKENIZER_JSON} and {', '.join(_DECLARING)} agree, as "
            "save_pretrained of the tokenizer used in training does",
            reason=Reason.TOKENIZER_MISMATCH,
            model=source.reference,
        )
    # Also the file's flags of added tokens, which the configuration may contradict, but not its post-processor.
    file.post_processor = plain.backend_tokenizer.post_processor
    plain._tokenizer = file
    return plain


def _from_pretrained(source: ModelSource | ModelLocation, *, plain: bool = False, **arguments: Any) -> Any:  # noqa: ANN401
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = source.path.parent if source.kind == "gguf" else source.path
    try:
        loader = PreTrainedTokenizerFast if plain else AutoTokenizer
        return loader.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **arguments)
    except ImportError as error:
        raise UnimplementedError(
            f"the tokenizer of {source.reference!r} needs a package that is not installed: {error}. A GGUF "
            "file needs torch and gguf: pip install 'whence[torch]'; or give a folder with a tokenizer.json",
            reason=Reason.MISSING_DEPENDENCY,
            model=source.reference,
        ) from error
    except Exception as error:  # a malformed file raises any exception, even a bare Exception
        raise _not_found(source, error) from error


def _not_found(source: ModelSource | ModelLocation, error: Exception) -> NotFoundError:
    return NotFoundError(
        f"cannot load a tokenizer from {source.path}: {error}; expected a tokenizer.json with the model",
        reason=Reason.TOKENIZER_NOT_FOUND,
        model=source.reference,
    )


def _read_backend(source: ModelSource | ModelLocation) -> Any:  # noqa: ANN401 - tokenizers has no types
    from tokenizers import Tokenizer as Backend

    path = source.path / TOKENIZER_JSON
    try:
        backend = Backend.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise _not_found(source, error) from error
    _settle_backend(backend)
    return backend


def _needs_code(folder: Path) -> bool:
    """Return true if the model's tokenizer is custom code, which may use tokenizer.json in any way."""
    path = folder / "tokenizer_config.json"
    return path.is_file() and "auto_map" in json.loads(path.read_text(encoding="utf-8"))


def _settle(pretrained: Any) -> None:  # noqa: ANN401
    if getattr(pretrained, "is_fast", False):
        _settle_backend(pretrained.backend_tokenizer)


def _settle_backend(backend: Any) -> None:  # noqa: ANN401
    """Disable truncation, padding and BPE dropout, so that the tokens of a text cover it and are deterministic."""
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None) is not None:
        backend.model.dropout = None


def _named_tokens(pretrained: Any, file: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the special tokens that a class names by default and the model has."""
    named = {name: str(token) for name, token in pretrained.special_tokens_map.items() if name in _NAMED}
    return {name: token for name, token in named.items() if file.token_to_id(token) is not None}


def _difference(pretrained: Any, file: Any, folder: Path) -> str:  # noqa: ANN401
    """Return the difference between a tokenizer and tokenizer.json, or "". ``file`` gets the tokens it lacks."""
    if not getattr(pretrained, "is_fast", False):
        return f"{type(pretrained).__name__} is not a fast tokenizer"
    _settle(pretrained)
    backend = pretrained.backend_tokenizer
    return _other_vocabulary(backend, file, folder) or _other_parts(backend, file) or _other_cut(backend, file)


def _other_vocabulary(backend: Any, file: Any, folder: Path) -> str:  # noqa: ANN401
    ids, expected = backend.get_vocab(), file.get_vocab()
    wrong = next((token for token, number in expected.items() if ids.get(token) != number), None)
    if wrong is not None:
        return f"the token {wrong!r} has the id {ids.get(wrong)}, not {expected[wrong]}"
    declared = set(_declared(folder))
    for number, token in sorted(backend.get_added_tokens_decoder().items()):
        if token.content in expected:
            continue
        if token.content not in declared:
            return f"the token {token.content!r} is in none of the model's files"
        (file.add_special_tokens if token.special else file.add_tokens)([token])
        if file.token_to_id(token.content) != number:
            return f"the token {token.content!r} has the id {number}, not {file.token_to_id(token.content)}"
    return ""


def _other_parts(backend: Any, file: Any) -> str:  # noqa: ANN401
    """Compare the components of tokenizers: a difference may show only in texts that are not tried here."""
    for part in ("normalizer", "pre_tokenizer"):
        got, expected = (_state(getattr(which, part)) for which in (backend, file))
        if got != expected:
            return f"its {part} is {got}, not {expected}"
    for setting in _MODEL_SETTINGS:
        ours, theirs = (getattr(which.model, setting, None) or None for which in (backend, file))
        if ours != theirs:
            return f"its model has {setting} {ours!r}, not {theirs!r}"
    return ""


def _state(part: Any) -> str:  # noqa: ANN401
    """Return a component as JSON, without its setting for offsets, which are never trimmed here."""
    if part is None:
        return "none"
    return re.sub(r'"trim_offsets": *(true|false)', '"trim_offsets":_', part.__getstate__().decode())


def _other_cut(backend: Any, file: Any) -> str:  # noqa: ANN401
    texts = [*PROBES, *_texts_of_tokens(file)]
    both = (which.encode_batch(texts, add_special_tokens=False) for which in (backend, file))
    for text, got, expected in zip(texts, *both, strict=True):
        if got.ids != expected.ids:
            return f"{text!r} becomes {got.tokens}, not {expected.tokens}"
    return ""


def _texts_of_tokens(file: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield texts that contain added tokens, and texts of some tokens from all over the vocabulary."""
    for token in list(file.get_added_tokens_decoder().values())[:_TRIED_TOKENS]:
        yield f"a{token.content}b"
        yield f"a {token.content} b"
    size = file.get_vocab_size()
    for number in range(0, size, max(1, size // _TRIED_TOKENS)):
        yield file.decode([number], skip_special_tokens=False)


def _declared(folder: Path) -> Iterator[str]:
    """Yield every string in the files that declare tokens."""
    for name in _DECLARING:
        path = folder / name
        if path.is_file():
            yield from _strings(json.loads(path.read_text(encoding="utf-8")))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
