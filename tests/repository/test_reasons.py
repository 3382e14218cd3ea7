"""One vocabulary of failures: every reason is a member of one enum, in one grammar, with one gRPC code."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from whence import errors, reasons

# What makes a warning, which has a code.
WARN = ("Finding", "Warning", "warning")
SOURCES = ("clients/python/whence", "service/whence_service", "backends/whence_backends", "scripts")


@pytest.fixture(scope="module")
def raised(root: Path) -> Iterator[list[object]]:
    sys.path.insert(0, str(root / "scripts"))
    import error_reasons

    yield list(error_reasons.places(root))
    sys.path.remove(str(root / "scripts"))


@pytest.mark.parametrize("reason", reasons.Reason)
def test_every_reason_follows_the_grammar(reason: str) -> None:
    assert reasons.GRAMMAR.fullmatch(reason)


@pytest.mark.parametrize("word", ["BAD_X", "X_INVALID", "NO_X", "X_TOO_LARGE", "X_UNKNOWN", "X_MISSING", "invalid_x"])
def test_the_grammar_has_no_second_way_to_say_it(word: str) -> None:
    assert not reasons.GRAMMAR.fullmatch(word)


def test_no_reason_is_written_as_text(root: Path) -> None:
    literals = [
        f"{path.relative_to(root)}:{node.lineno}: {node.value}"
        for path, tree in modules(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in {*reasons.Reason, *reasons.WarningCode} - codes()
    ]
    assert not literals


def test_no_error_has_a_reason_outside_the_enum(root: Path) -> None:
    texts = [
        f"{path.relative_to(root)}:{call.lineno}"
        for path, tree in modules(root)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in (*vars(errors), *WARN)
        for keyword in call.keywords
        if keyword.arg in ("reason", "code") and isinstance(keyword.value, ast.Constant | ast.JoinedStr)
    ]
    assert not texts


def test_every_member_says_what_to_do_and_is_used(root: Path, raised: list[object]) -> None:
    import error_reasons

    text = "".join(path.read_text() for path, _ in modules(root))
    for enum in (reasons.Reason, reasons.WarningCode):
        assert sorted(error_reasons.remedies(enum.__name__)) == sorted(enum)
        unused = [name for name in enum if f"{enum.__name__}.{name}" not in text and not name.startswith("GRPC_")]
        assert not unused
    assert {place.reason for place in raised} >= {name for name in reasons.Reason if not name.startswith("GRPC_")}


def test_a_reason_has_one_grpc_code(raised: list[object]) -> None:
    seen: dict[str, set[str]] = {}
    for place in raised:
        if place.error:
            seen.setdefault(place.reason, set()).add(getattr(errors, place.error).code.name)
    assert {reason: names for reason, names in seen.items() if len(names) > 1} == {}


def test_every_code_of_grpc_has_a_reason_for_when_grpc_says_no_more() -> None:
    assert {f"GRPC_{code.name}" for code in grpc.StatusCode if code is not grpc.StatusCode.OK} == {
        name for name in reasons.Reason if name.startswith("GRPC_")
    }


def codes() -> set[str]:
    return {code.name for code in grpc.StatusCode}


def modules(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    for source in SOURCES:
        for path in (root / source).rglob("*.py"):
            if path.name != "reasons.py" and "_pb2" not in path.name:
                yield path, ast.parse(path.read_text(encoding="utf-8"))
