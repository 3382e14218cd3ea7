"""Writes the tables of reasons and warnings in docs/errors.md. With --check it only compares.

What to do is the text under each member of the enums; the gRPC code is that of the
class of ``whence.errors`` with which a reason is raised, directly or by a helper that takes the reason as an argument.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import generated_blocks

from whence import errors, reasons

SOURCES = ("clients/python/whence", "service/whence_service", "backends/whence_backends")
REASONS = Path(reasons.__file__)
# Where an error is raised before a call is made or a server is started: no client could call again.
_NEVER_TRAVELS = ("whence.", "whence_service.rpc.hosting", "whence_service.rpc.http")
_CLASSES: dict[str, type[errors.WhenceError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.WhenceError)
}


@dataclass(frozen=True, kw_only=True, order=True)
class Raised:
    """One place that names a reason: the module, and the class of the error, empty where a variable holds it."""

    reason: str
    error: str
    module: str


def places(root: Path) -> Iterator[Raised]:
    """Yield every place in the three packages under ``root`` that makes an error with a reason of its own."""
    for source in SOURCES:
        for path in sorted((root / source).rglob("*.py")):
            if path.name == REASONS.name:
                continue
            parts = path.relative_to((root / source).parent).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            yield from _in_module(ast.parse(path.read_text(encoding="utf-8")), module)


def _in_module(tree: ast.AST, module: str) -> Iterator[Raised]:
    helpers = dict(_helpers(tree))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        error = _error_of(call, helpers)
        if error is None:
            continue
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            for reason in _named(argument):
                yield Raised(reason=reason, error=error, module=module)


def _helpers(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield functions and classes that take a reason, each with the class of the error that it makes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or "reason" not in _taken(node):
            continue
        made = [
            call.func.id
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _CLASSES
        ]
        if made:
            yield node.name, made[0]


def _taken(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Return the names of a function's arguments, or of a dataclass's fields."""
    if isinstance(node, ast.FunctionDef):
        return {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    fields = (statement.target for statement in node.body if isinstance(statement, ast.AnnAssign))
    return {field.id for field in fields if isinstance(field, ast.Name)}


def _error_of(call: ast.Call, helpers: dict[str, str]) -> str | None:
    """Return the class of the error that a call makes, an empty string for a class in a variable, or ``None``."""
    if not isinstance(call.func, ast.Name):
        return None
    name = call.func.id
    return name if name in _CLASSES else helpers.get(name, "" if name == "kind" else None)


def _named(argument: ast.expr) -> Iterator[str]:
    """Yield the members of ``Reason`` in an argument: one, or the two of ``a if condition else b``."""
    if isinstance(argument, ast.IfExp):
        yield from _named(argument.body)
        yield from _named(argument.orelse)
    elif isinstance(argument, ast.Attribute) and isinstance(argument.value, ast.Name) and argument.value.id == "Reason":
        yield argument.attr


def remedies(enum: str) -> dict[str, str]:
    """Return the text under each member of an enum of ``whence.reasons``, by the member's name."""
    tree = ast.parse(REASONS.read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == enum)
    return {
        assigned.targets[0].id: text.value.value
        for assigned, text in itertools.pairwise(body)
        if isinstance(assigned, ast.Assign)
        and isinstance(assigned.targets[0], ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def reasons_table(raised: list[Raised], texts: dict[str, str]) -> str:
    """Return one row for each reason: its codes, what to do, whether the Python client calls again, and where from."""
    rows = [
        [f"`{reason}`", _codes(group, reason), _markdown(texts[reason]), _again(group, reason), _modules(group)]
        for reason in sorted(reasons.Reason)
        for group in [[place for place in raised if place.reason == reason]]
    ]
    return generated_blocks.table(["Reason", "gRPC code", "What to do", "Client retries", "Raised in"], rows)


def warnings_table(texts: dict[str, str]) -> str:
    """Return one row for each code of a warning."""
    rows = [[f"`{code}`", _markdown(texts[code])] for code in sorted(reasons.WarningCode)]
    return generated_blocks.table(["Code", "What it says"], rows)


def _codes(group: list[Raised], reason: str) -> str:
    if reason.startswith("GRPC_"):
        return reason.removeprefix("GRPC_")
    return ", ".join(sorted({_CLASSES[place.error or "WhenceError"].code.name for place in group}))


def _again(group: list[Raised], reason: str) -> str:
    if reason == reasons.Reason.GRPC_UNAVAILABLE:
        return "yes"
    travelling = {place.error for place in group if not place.module.startswith(_NEVER_TRAVELS)}
    if travelling == {"OverloadedError"}:
        return "after the wait"
    return "yes" if travelling == {"UnavailableError"} else "no"


def _modules(group: list[Raised]) -> str:
    return ", ".join(f"`{module}`" for module in sorted({place.module for place in group})) or "gRPC"


def _markdown(text: str) -> str:
    return text.replace("``", "`")


if __name__ == "__main__":
    generated_blocks.run(
        generated_blocks.ROOT / "docs" / "errors.md",
        {
            "reasons": reasons_table(list(places(generated_blocks.ROOT)), remedies("Reason")),
            "warnings": warnings_table(remedies("WarningCode")),
        },
    )
