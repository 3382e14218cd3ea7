"""What is done of the checks, kept in a folder: each result under a digest of all that it depends on."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from whence_backends.contract import Float64Array
from whence_backends.store.artefact import canonical_json, digest_bytes, write_atomically
from whence_backends.validation.checks.results import from_json

T = TypeVar("T")


class Kept:
    """Owns the folder ``kept``. A file that cannot be read is computed again, since all can be."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self._folder = out / "kept"
        self._digest = digest_bytes(canonical_json(identity)).removeprefix("blake3:")[:16]

    def result(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """Return the result of a check, a dataclass ``kind``: the kept one, or else what ``compute`` returns."""
        path = self._folder / f"{name}-{self._digest}.json"
        try:
            return from_json(kind, json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            result = compute()
            content = json.dumps(asdict(result), indent=1).encode() + b"\n"  # type: ignore[call-overload]
            write_atomically(path, lambda temporary: _write(temporary, content))
            return result

    def arrays(self, name: str, compute: Callable[[], Mapping[str, Float64Array]]) -> Mapping[str, Float64Array]:
        """Return arrays by name: the kept ones, or else those that ``compute`` returns."""
        path = self._folder / f"{name}-{self._digest}.npz"
        try:
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            arrays = compute()
            write_atomically(path, lambda temporary: _save(temporary, arrays))
            return arrays


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _save(path: Path, arrays: Mapping[str, Float64Array]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
