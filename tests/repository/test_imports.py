"""Which way imports point: ARCHITECTURE.md's list is the rule, and every import of ours is read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"whence": "clients/python", "whence_service": "service", "whence_backends": "backends"}
# Packages of several rooms, each with a line of its own in the list; the wing's line is of its modules outside rooms.
WINGS = ("whence_service.frontend", "whence_backends.worker")
# Where an import inside a function may go against the list: what runs the other parts in its own process.
LATE = ("whence.cli.", "whence_service.frontend.embedded")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes: Iterable[ast.AST], *, late: bool) -> Iterator[str]:
    """Yield the modules that these nodes import at once or, with ``late``, also when functions run."""
    for node in nodes:
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imported(node.orelse, late=late)
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not late:
                pass
            case _:
                yield from imported(ast.iter_child_nodes(node), late=late)


def package_of(name: str) -> str:
    """Return the package of the list, or the room of a wing, that a module, or a name in it, belongs to."""
    parts = name.split(".")
    package, room = ".".join(parts[:2]), ".".join(parts[:3])
    if parts[0] == "whence":
        return "whence"
    return room if package in WINGS and room in ROOMS else package


def ours(names: Iterable[str]) -> set[str]:
    return {package_of(name) for name in names if name.split(".")[0] in FOLDERS}


def rooms() -> set[str]:
    folders = {wing: ROOT / FOLDERS[wing.split(".")[0]] / wing.replace(".", "/") for wing in WINGS}
    return {f"{wing}.{path.parent.name}" for wing, folder in folders.items() for path in folder.glob("*/__init__.py")}


ROOMS = rooms()
MODULES = dict(modules())


@pytest.fixture(scope="module")
def allowed() -> dict[str, set[str]]:
    lines = re.findall(r"^(whence[\w.]*) +→ ?(.*)$", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    rows = {name: {part for part in others.split(", ") if part} for name, others in lines}
    return {
        name: {part if part.startswith("whence") else f"{name.split('.')[0]}.{part}" for part in others} | {name}
        for name, others in rows.items()
    }


def test_the_list_has_every_package(allowed):
    packages = {package_of(name) for name in MODULES} - set(FOLDERS)
    assert packages | {"whence"} == set(allowed)


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"whence_service", "whence_backends"}))
def test_a_module_imports_only_what_the_list_allows(name, allowed):
    late = not name.startswith(LATE)
    assert ours(imported(MODULES[name].body, late=late)) <= allowed[package_of(name)]


def test_every_arrow_of_the_list_is_an_import(allowed):
    used: dict[str, set[str]] = {name: {name} for name in allowed}
    for name, module in MODULES.items():
        if name not in FOLDERS:
            used[package_of(name)] |= ours(imported(module.body, late=not name.startswith(LATE)))
    assert used == allowed


def test_the_list_has_no_cycle(allowed):
    TopologicalSorter({name: others - {name} for name, others in allowed.items()}).prepare()


def test_the_engine_contract_needs_nothing_but_numpy():
    tops = {name.split(".")[0] for name in imported(MODULES["whence_backends.contract"].body, late=True)}
    assert tops - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "whence, whence.aio, whence.cli",
            "torch numpy pandas pydantic_settings prometheus_client structlog opentelemetry",
        ),
        (
            "whence.explore.server",
            "torch numpy pandas pydantic_settings prometheus_client structlog opentelemetry",
        ),
        ("whence_service.frontend.server", "torch numpy transformers pyarrow whence_backends opentelemetry.sdk"),
        ("whence_backends.worker.serving.server, whence_backends.engines.fake", "torch"),
        ("whence_backends.worker.serving.server, whence_backends.engines.ort", "torch onnx_ir onnxscript"),
        ("whence_backends.corpus", "torch grpc_health redis"),
    ],
)
def test_a_part_starts_without_what_only_others_need(module, absent):
    program = f"import sys; sys.modules.update(dict.fromkeys({absent.split()!r})); import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rank_that_is_promised_is_the_rank_that_is_asked_for():
    """The worker says how many queries fit in its default rank, the front end asks for its own."""
    from whence_backends.worker.scoring.query_memory import DEFAULT_RANK
    from whence_service.frontend.request.options import DEFAULT_QUERY_RANK

    assert DEFAULT_RANK == DEFAULT_QUERY_RANK
