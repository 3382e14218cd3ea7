"""Checkpoints of one training as one model: a JSON file with their paths, in the order of training.

    {"checkpoints": ["epoch-4", "epoch-8", "epoch-12"]}

Influences are averaged over them, each with its own gradients and factors; log-likelihoods are those of the last.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from whence.errors import InvalidRequestError
from whence.reasons import Reason

_EXPECTED = '{"checkpoints": ["epoch-4", "epoch-8"]}, the paths of two or more models in the order of training'


def names_checkpoints(model: str) -> bool:
    """Return whether a model is named by a file of checkpoints."""
    return Path(model).suffix == ".json" and Path(model).expanduser().is_file()


def named_checkpoints(path: Path) -> list[str]:
    """Return the names in a file of checkpoints.

    Raises :class:`~whence.errors.InvalidRequestError` (``INVALID_MODEL_FILE``) for a file that has no such list, and
    for a checkpoint that is named twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _invalid(path, f"it cannot be read as JSON ({error})") from error
    names = content.get("checkpoints") if isinstance(content, dict) else None
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) and name for name in names):
        raise _invalid(path, "it names no checkpoints")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise _invalid(path, f"it names {twice[0]} twice")
    return names


def _invalid(path: Path, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{path} is no model: {why}; expected {_EXPECTED}", reason=Reason.INVALID_MODEL_FILE, field="model", path=path
    )
