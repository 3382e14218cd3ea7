"""Writes the table of error reasons in docs/errors.md from the places that raise them. With --check it only compares.

A reason is the literal ``reason="..."`` of a call of one of the classes in ``whence.errors``, or of a helper beside it
that takes the reason as an argument. A part that varies is shown as an ellipsis.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import generated_blocks

from whence import errors

SOURCES = ("clients/python/whence", "service/whence_service", "backends/whence_backends")
_CLASSES: dict[str, type[errors.WhenceError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.WhenceError)
}


@dataclass(frozen=True, kw_only=True, order=True)
class Raised:
    """One place that makes an error: its reason, its class, the module, and its message with … for what varies."""

    reason: str
    error: str
    module: str
    message: str


def places(root: Path) -> Iterator[Raised]:
    """Yield every place in the three packages under ``root`` that makes an error with a reason of its own."""
    for source in SOURCES:
        for path in sorted((root / source).rglob("*.py")):
            parts = path.relative_to((root / source).parent).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from _direct(tree, module)
            yield from _through_helpers(tree, module)


def _direct(tree: ast.AST, module: str) -> Iterator[Raised]:
    for call in _error_calls(tree):
        for reason in _alternatives(_argument(call, "reason")):
            yield _raised(call, reason, module)


def _through_helpers(tree: ast.AST, module: str) -> Iterator[Raised]:
    """Yield the calls of functions of the same module that take the reason as an argument."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args]
        made = [call for call in _error_calls(function) if isinstance(_argument(call, "reason"), ast.Name)]
        if "reason" not in names or not made:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function.name:
                given = _argument(node, "reason") or node.args[names.index("reason")]
                for reason in _alternatives(given):
                    yield _raised(made[0], reason, module)


def _error_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLASSES:
            yield node


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _alternatives(node: ast.expr | None) -> Iterator[str]:
    """Yield the reasons an expression may be: one literal, or the two of ``a if condition else b``."""
    if isinstance(node, ast.IfExp):
        yield from _alternatives(node.body)
        yield from _alternatives(node.orelse)
    elif isinstance(node, ast.Constant | ast.JoinedStr):
        yield _plain(node)


def _raised(call: ast.Call, reason: str, module: str) -> Raised:
    error = call.func.id if isinstance(call.func, ast.Name) else ""
    return Raised(reason=reason, error=error, module=module, message=_plain(call.args[0]) if call.args else "")


def _plain(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_plain(part) for part in node.values)
    return "…"


def reasons_table(raised: list[Raised]) -> str:
    """Return one row for each reason and class, with the first message and the modules that raise it."""
    groups: dict[tuple[str, str], list[Raised]] = {}
    for place in sorted(raised):
        groups.setdefault((place.reason, place.error), []).append(place)
    rows = [
        [f"`{reason}`", f"`{error}`", _CLASSES[error].code.name, _modules(group), _message(group)]
        for (reason, error), group in groups.items()
    ]
    return generated_blocks.table(["Reason", "Error", "gRPC code", "Raised in", "For example"], rows)


def _modules(group: list[Raised]) -> str:
    return ", ".join(f"`{module}`" for module in sorted({place.module for place in group}))


def _message(group: list[Raised]) -> str:
    message = max((place.message for place in group), key=lambda text: len(text.replace("…", "")))
    return " ".join(message.replace("<", "&lt;").split())


if __name__ == "__main__":
    table = reasons_table(list(places(generated_blocks.ROOT)))
    generated_blocks.run(generated_blocks.ROOT / "docs" / "errors.md", {"reasons": table})
