"""Typed errors for errors of the machine, of files and of other libraries."""

from __future__ import annotations

import errno
import json
import socket
from typing import Final

import grpc

from whence import status
from whence.errors import InvalidRequestError, StorageError, UnavailableError, UnimplementedError, WhenceError
from whence.reasons import Reason

_HINTS: Final = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some of your quota, or write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
    errno.ENFILE: "the machine can open no more files: end programs that have many open",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "a file was expected, and it is a folder",
    errno.ENOTDIR: "a folder was expected, and it is a file",
    errno.EACCES: "this user may not: check the permissions of the file and of its folders",
    errno.ELOOP: "links lead in a circle",
}
_ON_DISKS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# Packages whose errors mean that a file is damaged, of another kind or unavailable.
_READERS: Final = (
    "safetensors", "safetensors_rust", "pyarrow", "huggingface_hub", "zlib", "lzma", "_lzma", "zipfile", "zstandard",
)  # fmt: skip


def typed(error: BaseException, extra: str) -> WhenceError | None:
    """Return the typed error, or None for an unknown one. ``extra`` installs the command's dependencies."""
    match error:
        case WhenceError():
            return error
        case ImportError():
            return _not_installed(error, extra)
        case OSError():
            return _operating_system(error)
        case grpc.RpcError():
            return status.from_call(error)
        case MemoryError() | RecursionError():
            return _exhausted(error)
        case UnicodeError():
            what = ascii(error.object)[:100] if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else error
            return InvalidRequestError(
                f"{what} is not Unicode text in UTF-8; convert what was given, or leave it out",
                reason=Reason.INVALID_TEXT,
            )
        case OverflowError():
            return InvalidRequestError(
                f"a number that was given is too large ({error})", reason=Reason.TOO_LARGE_NUMBER
            )
        case json.JSONDecodeError():
            return InvalidRequestError(f"a file that was read is not JSON: {error}", reason=Reason.INVALID_JSON)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for this
        return _exhausted(error)
    if isinstance(error, EOFError) or type(error).__module__.partition(".")[0] in _READERS:
        return InvalidRequestError(
            f"a file that was read is not whole, or not what it should be ({type(error).__name__}: {error}); "
            "`whence --debug …` shows where it was read",
            reason=Reason.UNREADABLE_FILE,
        )
    return None


def _not_installed(error: ImportError, extra: str) -> WhenceError | None:
    package = (error.name or "").partition(".")[0]
    if package.startswith("whence") or (not package and not isinstance(error, ModuleNotFoundError) and not error.path):
        return None
    if isinstance(error, ModuleNotFoundError):
        wanted = f"'whence[{extra}]'" if extra else package
        message = f"this command needs the package {package!r}, which is not installed. Try: pip install {wanted}"
    else:
        message = (
            f"the package {package!r} cannot be loaded: {error}. It is broken or of a version that does not fit; try: "
            f"pip install --force-reinstall {package}"
        )
    return UnimplementedError(message, reason=Reason.MISSING_DEPENDENCY)


def _operating_system(error: OSError) -> WhenceError:
    if isinstance(error, socket.gaierror | ConnectionError | TimeoutError):
        return UnavailableError(f"the network fails: {error.strerror or error}", reason=Reason.NETWORK_UNAVAILABLE)
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    message = f"{error.strerror}: {', '.join(names)}" if error.strerror and names else error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0)
    message += f"; {hint}" if hint else ""
    kind = StorageError if error.errno in _ON_DISKS else WhenceError
    return kind(message, reason=Reason.FILE_FAILED)


def _exhausted(error: BaseException) -> WhenceError:
    if isinstance(error, RecursionError):
        return InvalidRequestError("what was read is nested too deeply", reason=Reason.TOO_DEEP_INPUT)
    said = str(error).partition("\n")[0] or type(error).__name__
    return WhenceError(
        f"there is not enough memory ({said}); ask for less at once (such as --batch-tokens, --max-sequences or "
        "--top-k), or give it more",
        reason=Reason.OUT_OF_MEMORY,
    )
