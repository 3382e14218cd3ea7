"""Artefacts on disk: immutable folders of files, named by digest, whose manifest is written last."""

from whence_backends.store.artefact import (
    ArtefactWriter,
    FileRecord,
    Manifest,
    digest_bytes,
    digest_file,
    read_manifest,
    storage_error,
    sync,
    verify_files,
    write_atomically,
)
from whence_backends.store.lock import alone_in, holding
from whence_backends.store.tensors import as_os_error, write_arrays
from whence_backends.store.work import WORK_FOLDER, claim_folder

__all__ = [
    "WORK_FOLDER",
    "ArtefactWriter",
    "FileRecord",
    "Manifest",
    "alone_in",
    "as_os_error",
    "claim_folder",
    "digest_bytes",
    "digest_file",
    "holding",
    "read_manifest",
    "storage_error",
    "sync",
    "verify_files",
    "write_arrays",
    "write_atomically",
]
