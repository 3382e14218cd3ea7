"""The ``.work`` folder inside an unfinished artefact: the identity of its job, and the job's saved state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from whence.errors import MismatchError
from whence.reasons import Reason
from whence_backends.store.artefact import write_atomically

WORK_FOLDER: Final = ".work"
_IDENTITY: Final = "identity.json"
# The name given for the model, which is not part of the identity: its digest is.
_SPELLINGS: Final = frozenset({"model"})


def claim_folder(artefact: Path, identity: Mapping[str, Any], *, tag: str = "") -> Path:
    """Begin or resume the job with this ``identity``, and return its ``.work`` folder.

    ``tag`` distinguishes the jobs that share a folder. Raises :class:`~whence.errors.MismatchError` if another job is
    unfinished in the same folder.
    """
    folder = artefact / WORK_FOLDER
    path = folder / _IDENTITY
    wanted = json.loads(json.dumps(identity))
    if not path.is_file():
        text = json.dumps(wanted, indent=1, sort_keys=True)
        write_atomically(path, lambda temporary: _write(temporary, text), tag=tag)
        return folder
    existing = json.loads(path.read_text(encoding="utf-8"))
    differing = sorted(key for key in (wanted | existing).keys() - _SPELLINGS if wanted.get(key) != existing.get(key))
    if differing:
        raise MismatchError(
            f"{artefact} holds an unfinished job with another {', '.join(differing)}; finish that one, remove the "
            "folder, or choose another",
            reason=Reason.JOB_MISMATCH,
            path=artefact,
        )
    return folder


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
