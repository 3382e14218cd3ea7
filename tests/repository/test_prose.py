"""How docstrings and names are written, as far as it can be checked without reading them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("backends/whence_backends", "service/whence_service", "clients/python/whence", "scripts")
VAGUE_DOCSTRING = re.compile(r"(Return|Yield) (what|how|which|where)\b")
VAGUE_NAMES = {"one", "each", "told", "found", "how", "mine"}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@pytest.fixture(scope="module")
def modules(root: Path) -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    names = {path.relative_to(root).as_posix(): path for path in files}
    return {
        name: ast.parse(path.read_text(encoding="utf-8"))
        for name, path in names.items()
        if not re.search(r"_pb2(_grpc)?\.py$", name)
    }


def test_docstrings_name_what_is_returned_by_a_noun(modules: dict[str, ast.Module]) -> None:
    vague = [
        f"{name}:{node.lineno} {(ast.get_docstring(node) or '').splitlines()[0]}"
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, Definition) and VAGUE_DOCSTRING.match(ast.get_docstring(node) or "")
    ]
    assert not vague


def test_variables_are_named_by_nouns(modules: dict[str, ast.Module]) -> None:
    vague = [
        f"{name}:{line} {variable}"
        for name, tree in modules.items()
        for line, variable in _variables(tree)
        if variable in VAGUE_NAMES
    ]
    assert not vague


def test_modules_and_public_definitions_are_documented(modules: dict[str, ast.Module]) -> None:
    undocumented = [
        f"{name}: {definition}"
        for name, tree in modules.items()
        for definition, node in [("the module", tree), *_public(tree)]
        if tree.body and not ast.get_docstring(node)
    ]
    assert not undocumented


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("for one in x: pass", "one"),
        ("def f(how): pass", "how"),
        ("(found := 1)", "found"),
        ("[each for each in x]", "each"),
    ],
)
def test_a_vague_name_is_noticed(source: str, variable: str) -> None:
    assert variable in {name for _, name in _variables(ast.parse(source))}


def _variables(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def _public(node: ast.Module | ast.ClassDef, within: str = "") -> Iterator[tuple[str, Definition]]:
    """Yield the public definitions of a module: functions, classes and their methods, not what functions define."""
    for child in node.body:
        if isinstance(child, Definition) and not child.name.startswith("_"):
            name = f"{within}{child.name}"
            yield name, child
            if isinstance(child, ast.ClassDef):
                yield from _public(child, f"{name}.")
