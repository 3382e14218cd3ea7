"""Errors that are not of Whence: none that input, machine or installation can bring about is called a bug."""

from __future__ import annotations

import builtins
import errno
import json
import lzma
import os
import socket
import zipfile
import zlib

import grpc
import pytest

from whence.cli import failures
from whence.errors import StorageError, UnavailableError


def told(error: BaseException, extra: str = "") -> tuple[str, str]:
    known = failures.to_whence_error(error, extra)
    return known.reason, known.message


def of_the_machine(number: int, path: str | None = "/some/file") -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOENT, "No such file or directory: /some/file"),
        (errno.ENOSPC, "No space left on device: /some/file; free some space"),
        (errno.EACCES, "Permission denied: /some/file; this user may not"),
        (errno.EISDIR, "Is a directory: /some/file; a file was expected"),
        (errno.ENOTDIR, "Not a directory: /some/file; a folder was expected"),
        (errno.ENAMETOOLONG, "File name too long: /some/file; choose a shorter name"),
        (errno.EMFILE, "Too many open files: /some/file; allow this process more"),
        (errno.EROFS, "Read-only file system: /some/file; write elsewhere"),
        (errno.EIO, "Input/output error: /some/file"),
    ],
)
def test_what_the_machine_refuses_says_what_and_where(number, says):
    reason, message = told(of_the_machine(number))
    assert (reason, message[: len(says)]) == ("FILE_FAILED", says)


def test_no_file_is_named_where_there_is_none():
    assert told(of_the_machine(errno.ENOSPC, None))[1] == "No space left on device; free some space, or write elsewhere"
    assert told(OSError("we could not connect"))[1] == "we could not connect"
    assert isinstance(failures.to_whence_error(of_the_machine(errno.ENOSPC), ""), StorageError)


def test_both_files_of_a_rename_are_named():
    error = OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b")
    assert told(error)[1] == "Invalid cross-device link: /a, /b"


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), ConnectionResetError(), TimeoutError()]
)
def test_a_network_is_no_file(error):
    known = failures.to_whence_error(error, "")
    assert (known.reason, type(known), failures.advice(known)) == ("NETWORK_UNAVAILABLE", UnavailableError, "")


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


class Failed(grpc.RpcError):
    """A call that failed where nobody expected it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "gone"

    def trailing_metadata(self) -> tuple[()]:
        return ()


def reader_error() -> Exception:
    from safetensors import SafetensorError

    return SafetensorError("header too large")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (MemoryError, "OUT_OF_MEMORY"),
        (lambda: OutOfMemoryError("CUDA out of memory\nmore"), "OUT_OF_MEMORY"),
        (RecursionError, "TOO_DEEP_INPUT"),
        (lambda: caught("caf\udce9".encode), "INVALID_TEXT"),
        (lambda: caught(b"caf\xe9".decode), "INVALID_TEXT"),
        (lambda: caught(json.loads, "{"), "INVALID_JSON"),
        (lambda: caught((2**80).to_bytes, 8), "TOO_LARGE_NUMBER"),
        (lambda: zipfile.BadZipFile("torn"), "UNREADABLE_FILE"),
        (lambda: zlib.error("torn"), "UNREADABLE_FILE"),
        (lambda: lzma.LZMAError("torn"), "UNREADABLE_FILE"),
        (lambda: EOFError("Compressed file ended before the end-of-stream marker was reached"), "UNREADABLE_FILE"),
        (reader_error, "UNREADABLE_FILE"),
        (Failed, "GRPC_UNAVAILABLE"),
        (lambda: caught(builtins.__import__, "no_such_package.part"), "MISSING_DEPENDENCY"),
        (lambda: ImportError("libcudart.so.12: no such file", name="torch", path="/x"), "MISSING_DEPENDENCY"),
    ],
)
def test_input_machine_and_installation_are_no_bugs(make, reason):
    found, message = told(make(), "torch")
    assert found == reason
    assert "a bug in" not in message
    message.encode()


@pytest.mark.parametrize("error", [ValueError("x"), ZeroDivisionError(), ImportError("whence", name="whence.gone")])
def test_what_is_ours_still_is_one(error):
    assert told(error)[0] == "COMMAND_FAILED"


def caught(act, *arguments) -> Exception:
    try:
        act(*arguments)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")
