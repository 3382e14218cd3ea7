"""What warnings mean: the text under each code in :mod:`whence.reasons`, which docs/errors.md has too."""

from __future__ import annotations

import ast
from functools import cache
from itertools import pairwise
from pathlib import Path

from whence import reasons


def advice(code: str) -> str:
    """Return the meaning of a warning, in a sentence or two; empty for a code that this version does not know."""
    return _sentences().get(code, "")


@cache
def _sentences() -> dict[str, str]:
    tree = ast.parse(Path(reasons.__file__).read_text(encoding="utf-8"))
    [codes] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "WarningCode"]
    return {
        member.targets[0].id: below.value.value.replace("``", "")
        for member, below in pairwise(codes.body)
        if isinstance(member, ast.Assign)
        and isinstance(member.targets[0], ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
