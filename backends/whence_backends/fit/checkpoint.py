"""Checkpoints of a fit, in a ``.work`` folder inside the artefact.

A checkpoint holds running sums and the number of batches in them. Batches are added in a fixed order, so a resumed job
adds the same numbers in the same order as one that was never interrupted.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from whence_backends.store import WORK_FOLDER, as_os_error, claim_folder, write_atomically


class Checkpoints:
    """Owns the ``.work`` folder of one fit. Only the job's own thread touches it."""

    def __init__(self, artefact: Path) -> None:
        self._artefact = artefact
        self._folder = artefact / WORK_FOLDER

    def claim(self, identity: Mapping[str, Any]) -> None:
        """Begin or resume the job with this ``identity``.

        Raises :class:`~whence.errors.MismatchError` if another job is unfinished in the same folder.
        """
        claim_folder(self._artefact, identity)

    def load(self, stage: str, tensors: Mapping[str, Tensor]) -> int:
        """Fill ``tensors`` from the stage's checkpoint and return the number of batches in it, 0 without one."""
        path = self._folder / f"{stage}.safetensors"
        if not path.is_file():
            return 0
        with safe_open(path, framework="pt") as file:
            for name, tensor in tensors.items():
                tensor.copy_(file.get_tensor(name))
            return int(file.metadata()["batches"])

    def save(self, stage: str, tensors: Mapping[str, Tensor], batches: int) -> None:
        """Replace the stage's checkpoint."""
        write_atomically(
            self._folder / f"{stage}.safetensors", lambda path: write_tensors(path, tensors, {"batches": str(batches)})
        )

    def drop(self, stage: str) -> None:
        """Remove a stage's checkpoint."""
        (self._folder / f"{stage}.safetensors").unlink(missing_ok=True)

    def release(self) -> None:
        """Remove the folder of a finished artefact."""
        shutil.rmtree(self._folder, ignore_errors=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file; a failing disk raises ``OSError``."""
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, dict(metadata or {}))
    except SafetensorError as error:
        raise as_os_error(error) from error
