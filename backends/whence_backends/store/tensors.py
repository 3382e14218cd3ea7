"""Writing safetensors files, with the errors of the disk raised as ``OSError``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write numpy arrays to a file; a failing disk raises ``OSError``."""
    try:
        save_file(dict(arrays), path)
    except SafetensorError as error:
        raise as_os_error(error) from error


def as_os_error(error: SafetensorError) -> OSError:
    """Return the operating system's error, which safetensors only quotes."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number.group(1)) if number else 0, str(error))
