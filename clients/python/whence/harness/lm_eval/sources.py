"""Where samples come from: the files of ``--log_samples``, or the results of ``simple_evaluate``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from whence.errors import InvalidRequestError, NotFoundError, WhenceError
from whence.harness.lm_eval.samples import unreadable
from whence.reasons import Reason

_NAME: Final = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a file, or an item of a list: where it is, and its fields or what is wrong with it."""

    place: str
    fields: Mapping[str, Any]
    error: WhenceError | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task's samples, which may be read again and again. ``lower_is_better`` are such metrics."""

    name: str
    lines: Callable[[], Iterator[Line]]
    lower_is_better: frozenset[str] = frozenset()


def open_samples(samples: Path | Mapping[str, Any], tasks: Sequence[str]) -> list[Task]:
    """Return the tasks whose samples these are, those that ``tasks`` name, as names or patterns, or all.

    Of a folder with several runs the last is taken, task by task.

    Raises :class:`~whence.errors.NotFoundError` where there are no samples, and
    :class:`~whence.errors.InvalidRequestError` where they are several models' or a task is not among them.
    """
    all_tasks = in_files(samples) if isinstance(samples, Path) else in_results(samples)
    for wanted in tasks:
        if not any(fnmatchcase(task.name, wanted) for task in all_tasks):
            raise InvalidRequestError(
                f"no task {wanted!r} is among the samples; there are {', '.join(task.name for task in all_tasks)}",
                reason=Reason.UNKNOWN_TASK,
                field="tasks",
            )
    return [task for task in all_tasks if not tasks or any(fnmatchcase(task.name, wanted) for wanted in tasks)]


def in_results(results: Mapping[str, Any]) -> list[Task]:
    """Return the tasks of what ``simple_evaluate`` returned."""
    if not results.get("samples"):
        raise NotFoundError(
            "the results have no samples: call simple_evaluate with log_samples=True", reason=Reason.SAMPLES_NOT_FOUND
        )
    better = results.get("higher_is_better", {})
    return [
        Task(name=name, lines=_items(name, samples), lower_is_better=_lower(better, name))
        for name, samples in results["samples"].items()
    ]


def in_files(path: Path) -> list[Task]:
    """Return the tasks of a file or a folder that ``lm_eval --output_path`` named."""
    files = [path] if path.is_file() else sorted(path.rglob("samples_*.jsonl"))
    if not files:
        raise NotFoundError(
            f"{path} has no samples_*.jsonl: run lm_eval with --log_samples and --output_path, and name that path",
            reason=Reason.SAMPLES_NOT_FOUND,
        )
    folders = sorted({str(file.parent) for file in files})
    if len(folders) > 1:
        raise InvalidRequestError(
            f"{path} has samples of several models: name the folder of the one that is served, of {', '.join(folders)}",
            reason=Reason.AMBIGUOUS_SAMPLES,
            field="samples",
        )
    last: dict[str, tuple[str, Path]] = {}
    for file in files:
        name, date = _task_and_date(file)
        last[name] = max(last.get(name, ("", file)), (date, file))
    return [
        Task(name=name, lines=_lines(file), lower_is_better=_lower(_higher_is_better(file.parent, date), name))
        for name, (date, file) in last.items()
    ]


def _task_and_date(file: Path) -> tuple[str, str]:
    named = _NAME.fullmatch(file.name)
    return (named["task"], named["date"]) if named else (file.stem.removeprefix("samples_"), "")


def _lines(file: Path) -> Callable[[], Iterator[Line]]:
    def read() -> Iterator[Line]:
        try:
            with file.open("rb") as opened:
                for number, line in enumerate(opened, 1):
                    if line.strip():
                        yield _line(f"{file}, line {number}", line)
        except OSError as error:
            raise InvalidRequestError(
                f"{file} cannot be read: {error.strerror or error}", reason=Reason.UNREADABLE_FILE, field="samples"
            ) from error

    return read


def _line(place: str, line: bytes) -> Line:
    try:
        return _item(place, json.loads(line.decode()))
    except (ValueError, RecursionError) as error:
        return Line(place=place, fields={}, error=unreadable(place, f"it is not JSON in UTF-8 ({error})"))


def _items(task: str, samples: Sequence[Any]) -> Callable[[], Iterator[Line]]:
    return lambda: (_item(f"sample {number} of {task}", sample) for number, sample in enumerate(samples, 1))


def _item(place: str, fields: object) -> Line:
    if isinstance(fields, Mapping):
        return Line(place=place, fields=fields)
    return Line(place=place, fields={}, error=unreadable(place, f"it is a {type(fields).__name__}, not an object"))


def _higher_is_better(folder: Path, date: str) -> Mapping[str, Any]:
    """Return the directions of the tasks' metrics, from the results of the run; none where these are missing."""
    try:
        results = json.loads((folder / f"results_{date}.json").read_text(encoding="utf-8"))
        return dict(results["higher_is_better"])
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _lower(better: Mapping[str, Any], task: str) -> frozenset[str]:
    of_task = better.get(task)
    known = of_task if isinstance(of_task, Mapping) else {}
    return frozenset(name for name, higher in known.items() if higher is False)
