"""Artefacts on disk: immutable folders of files, named by digest, whose manifest is written last."""

from whence_backends.store.artefact import (
    ArtefactWriter,
    FileRecord,
    Manifest,
    digest_bytes,
    digest_file,
    read_manifest,
    storage_error,
    verify_files,
    write_atomically,
)

__all__ = [
    "ArtefactWriter",
    "FileRecord",
    "Manifest",
    "digest_bytes",
    "digest_file",
    "read_manifest",
    "storage_error",
    "verify_files",
    "write_atomically",
]
