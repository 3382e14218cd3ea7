"""The ``.work`` folder inside an artefact that is not finished: which job it belongs to, and what that job keeps."""

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
# What a command called the model: the same model has the same digest under any spelling of its path.
_SPELLINGS: Final = frozenset({"model"})


def claim_folder(artefact: Path, identity: Mapping[str, Any], *, tag: str = "") -> Path:
    """Begin, or go on with, the job that ``identity`` describes, and return its ``.work`` folder.

    ``tag`` tells apart the jobs that share a folder. Raises :class:`~whence.errors.MismatchError` where another job is
    unfinished in the same folder.
    """
    folder = artefact / WORK_FOLDER
    path = folder / _IDENTITY
    wanted = json.loads(json.dumps(identity))
    if not path.is_file():
        text = json.dumps(wanted, indent=1, sort_keys=True)
        write_atomically(path, lambda temporary: _write(temporary, text), tag=tag)
        return folder
    found = json.loads(path.read_text(encoding="utf-8"))
    differing = sorted(key for key in (wanted | found).keys() - _SPELLINGS if wanted.get(key) != found.get(key))
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
