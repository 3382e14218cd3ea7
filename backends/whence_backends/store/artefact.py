"""The artefact format: a folder with data files and ``manifest.json``, which is written last and names every file.

``manifest.json`` holds ``format`` (for example ``whence.corpus/1``), ``files`` (name → size and BLAKE3 digest),
``properties`` of the artefact and ``digest``: the BLAKE3 of the canonical JSON of the other
three. It has no time stamp, so that the same inputs give the same bytes. A folder without a manifest is unfinished.

Every file is written under a temporary name, synced and renamed; readers never see a partial one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from whence.errors import CorruptArtefactError, MismatchError, NotFoundError, StorageError
from whence.reasons import Reason

MANIFEST: Final = "manifest.json"
_TEMPORARY_SUFFIX: Final = ".partial"
_BLOCK_BYTES: Final = 1 << 24


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One data file of an artefact: its name in the folder, its size and its BLAKE3 digest."""

    name: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of an artefact: its format, its files, its properties and the digest over all three."""

    format: str
    files: tuple[FileRecord, ...]
    properties: Mapping[str, Any]
    digest: str


def digest_bytes(data: bytes) -> str:
    """Return the BLAKE3 digest of ``data`` as ``blake3:<hex>``."""
    return f"blake3:{blake3(data).hexdigest()}"


def digest_file(path: Path) -> str:
    """Return the BLAKE3 digest of a file as ``blake3:<hex>``, on all cores and in bounded memory."""
    digest = blake3(max_threads=blake3.AUTO)
    block = memoryview(bytearray(min(_BLOCK_BYTES, path.stat().st_size + 1)))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(block[:size])
    return f"blake3:{digest.hexdigest()}"


def canonical_json(value: object) -> bytes:
    """Return canonical JSON: the same bytes for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write_atomically(path: Path, write: Callable[[Path], None], *, tag: str = "") -> None:
    """Write a temporary file with ``write``, sync it and rename it to ``path``.

    ``tag`` is part of the temporary name and distinguishes jobs that may write the same file concurrently. Raises
    :class:`~whence.errors.StorageError` if the disk is full or read-only; the temporary file is then removed.
    """
    temporary = path.with_name(path.name + tag + _TEMPORARY_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise storage_error(path, error) from error


class ArtefactWriter:
    """Writes one artefact: :meth:`add` its files in any order, then :meth:`finish`.

    Existing files may be added again, which is how an interrupted job resumes. ``tag`` is that of
    :func:`write_atomically`.
    """

    def __init__(self, folder: Path, format: str, *, tag: str = "") -> None:  # noqa: A002 - the manifest's own word
        self.folder = folder
        self.format = format
        self._tag = tag

    def add(self, name: str, write: Callable[[Path], None]) -> FileRecord:
        """Write one file atomically and return its record."""
        write_atomically(self.folder / name, write, tag=self._tag)
        return self.record(name)

    def record(self, name: str) -> FileRecord:
        """Return the record of a file that is already in the folder."""
        path = self.folder / name
        return FileRecord(name=name, size_bytes=path.stat().st_size, digest=digest_file(path))

    def finish(self, files: Iterable[FileRecord], properties: Mapping[str, Any]) -> Manifest:
        """Write the manifest, which completes the artefact."""
        body = _body(self.format, sorted(files, key=lambda file: file.name), properties)
        digest = digest_bytes(canonical_json(body))
        text = json.dumps({**body, "digest": digest}, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.folder / MANIFEST, lambda path: _write_text(path, text), tag=self._tag)
        return read_manifest(self.folder, self.format)


def read_manifest(folder: Path, format: str, *older: str) -> Manifest:  # noqa: A002
    """Return the manifest of an artefact, of this format or an older one, checked against its own digest.

    Raises :class:`~whence.errors.NotFoundError` if there is none (never made, or interrupted),
    :class:`~whence.errors.MismatchError` for another format and :class:`~whence.errors.CorruptArtefactError` if it was
    altered.
    """
    path = folder / MANIFEST
    if not path.is_file():
        state = "has no manifest (its job was interrupted; run it again)" if folder.is_dir() else "does not exist"
        raise NotFoundError(
            f"{folder} {state}; expected a {format} artefact", reason=Reason.ARTEFACT_NOT_FOUND, path=folder
        )
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        digest = body.pop("digest")
        found_format = body["format"]
        files = tuple(
            FileRecord(name=name, size_bytes=entry["size_bytes"], digest=entry["digest"])
            for name, entry in body["files"].items()
        )
        properties = body["properties"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _corrupt(path, f"is not a manifest ({error!r})") from error
    if found_format not in (format, *older):
        raise MismatchError(
            f"{folder} is a {found_format} artefact; expected {format}",
            reason=Reason.ARTEFACT_KIND_MISMATCH,
            path=folder,
        )
    if digest != digest_bytes(canonical_json(body)):
        raise _corrupt(path, "was altered: its digest is not that of its contents")
    return Manifest(format=found_format, files=files, properties=properties, digest=digest)


def verify_files(folder: Path, files: Iterable[FileRecord]) -> None:
    """Check each file's size and digest.

    Raises :class:`~whence.errors.CorruptArtefactError`, naming the file, for the first that is missing, truncated or
    altered.
    """
    for file in files:
        path = folder / file.name
        if not path.is_file():
            raise _corrupt(path, "is missing")
        size_bytes = path.stat().st_size
        if size_bytes != file.size_bytes:
            raise _corrupt(path, f"has {size_bytes} bytes; its manifest says {file.size_bytes}")
        if digest_file(path) != file.digest:
            raise _corrupt(path, f"was altered: its digest is not {file.digest}")


def _body(format: str, files: Iterable[FileRecord], properties: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
    entries = {file.name: {"size_bytes": file.size_bytes, "digest": file.digest} for file in files}
    return {"format": format, "files": entries, "properties": dict(properties)}


def _corrupt(path: Path, what: str) -> CorruptArtefactError:
    return CorruptArtefactError(
        f"{path} {what}; restore the artefact or make it again", reason=Reason.CORRUPT_ARTEFACT, path=path
    )


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error for a ``path`` that could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free some space" if full else "make the folder writable"
    return StorageError(
        f"cannot write {path}: {error.strerror or error}; {advice} and run the same command again, it goes on where it "
        "stopped",
        reason=Reason.DISK_FULL if full else Reason.WRITE_FAILED,
        path=path,
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
