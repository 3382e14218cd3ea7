"""The kind of a file, by its name: format and compression, or the reason why it is not read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from whence_backends.corpus.ingestion.rows import Compression, FileFormat

_FORMATS: Final[Mapping[str, FileFormat]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "text",
    ".md": "text",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_WHOLE: Final = (".parquet", ".arrow")  # need random access, so never compressed as a whole
_COMPRESSIONS: Final[Mapping[str, Compression]] = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
_ARCHIVES: Final = (".zip", ".tar", ".tgz", ".7z", ".rar", ".lz4", ".zstd", ".z")

KNOWN: Final = (
    f"{', '.join(suffix for suffix in _FORMATS if suffix not in _WHOLE)} (also compressed, as in .jsonl.gz: "
    f"{', '.join(_COMPRESSIONS)}), {', '.join(_WHOLE)} or a saved data set's folder"
)

# Names of files that describe a data set rather than hold data, whatever their suffix.
_PROSE: Final = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|changes|contributing|contributors|code_of_conduct|citation|authors|"
    r"security|datasheet|dataset_card|requirements)([._-].*)?",
    re.IGNORECASE,
)
_DESCRIPTIONS: Final = frozenset(
    {
        "dataset_info.json",
        "dataset_infos.json",
        "dataset_dict.json",
        "state.json",
        "croissant.json",
        "manifest.json",
        "package.json",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "model.safetensors.index.json",
    }
)
_CACHE: Final = re.compile(r"(cache-|tmp).*\.arrow")  # caches that `datasets` keeps beside a data set


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A file's format and compression with the suffix that indicates them; or no format, and the reason."""

    format: FileFormat | None = None
    compression: Compression = ""
    suffix: str = ""
    problem: str = ""


def kind_of(name: str) -> FileKind:
    """Return the kind of file that a name indicates, ignoring case."""
    lower = name.lower()
    packed = next((suffix for suffix in _COMPRESSIONS if lower.endswith(suffix)), "")
    inner = lower.removesuffix(packed)
    suffix = next((suffix for suffix in _FORMATS if inner.endswith(suffix)), "")
    if not suffix:
        is_archive = lower.endswith(_ARCHIVES) or inner.endswith(_ARCHIVES)
        return FileKind(problem="is an archive; unpack it" if is_archive else "is of no format that is read")
    if packed and suffix in _WHOLE:
        return FileKind(problem=f"is a compressed {suffix} file; unpack it")
    return FileKind(
        format=_FORMATS[suffix], compression=_COMPRESSIONS[packed] if packed else "", suffix=suffix + packed
    )


def why_not_asked_for(name: str) -> str:
    """Return the reason why a file of a known format in a folder is not read, or an empty string."""
    is_prose = kind_of(name).format == "text" and _PROSE.fullmatch(name)
    if is_prose or name.lower() in _DESCRIPTIONS:
        return "describes the data; name it to have it read"
    return "is a cache of `datasets`" if _CACHE.fullmatch(name) else ""
