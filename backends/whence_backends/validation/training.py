"""Training the models of a plan, several at a time, and measuring each. What is measured already is not done again."""

from __future__ import annotations

import importlib
import multiprocessing
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.validation.bank import Bank
from whence_backends.validation.likelihoods import Measurement
from whence_backends.validation.plan import Run

PLACEHOLDERS: Final = ("documents", "seed", "checkpoint", "run", "name")


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What a trainer is asked for: a model of the documents whose ids ``documents_file`` lists, in ``checkpoint``."""

    number: int
    name: str
    seed: int
    documents_file: Path
    checkpoint: Path
    log: Path


class Trainer(Protocol):
    """Trains the model of one run. It is pickled, and called in another process."""

    def train(self, run: TrainingRun) -> Path:
        """Train, and return the folder of the model, usually ``run.checkpoint``."""
        ...


@dataclass(frozen=True, kw_only=True)
class CommandTrainer:
    """Runs a shell command with the placeholders ``{documents} {seed} {checkpoint} {run} {name}`` filled in."""

    command: str

    def __post_init__(self) -> None:
        try:
            self.command.format(**dict.fromkeys(PLACEHOLDERS, ""))
        except (KeyError, IndexError, ValueError) as error:
            raise InvalidRequestError(
                f"the train command {self.command!r} has a placeholder that is not known ({error}); known are "
                f"{', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}; write {{{{ and }}}} for braces",
                reason=Reason.INVALID_TRAIN_COMMAND,
                field="train_command",
            ) from error
        if "{documents}" not in self.command or "{checkpoint}" not in self.command:
            raise InvalidRequestError(
                f"the train command {self.command!r} lacks {{documents}} or {{checkpoint}}: it must train on the "
                "documents whose ids that file lists, and write its model to that folder",
                reason=Reason.INVALID_TRAIN_COMMAND,
                field="train_command",
            )

    def train(self, run: TrainingRun) -> Path:
        """Run the command. Raises :class:`~whence.errors.InvalidRequestError` (``TRAINING_FAILED``)."""
        values = {
            "documents": run.documents_file,
            "seed": run.seed,
            "checkpoint": run.checkpoint,
            "run": run.number,
            "name": run.name,
        }
        command = self.command.format(**{key: shlex.quote(str(value)) for key, value in values.items()})
        with run.log.open("wb") as log:
            code = subprocess.run(command, shell=True, stdout=log, stderr=log, check=False).returncode
        if code != 0:
            raise _failed(run, f"the command ended with exit code {code}")
        return run.checkpoint


@dataclass(frozen=True, kw_only=True)
class EntryPointTrainer:
    """Calls a Python function ``module:function`` with the :class:`TrainingRun`; it writes ``run.checkpoint``."""

    entry_point: str

    def train(self, run: TrainingRun) -> Path:
        """Call the function. Its own exceptions are raised as they are."""
        self.function()(run)
        return run.checkpoint

    def function(self) -> Any:  # noqa: ANN401 - the user's own
        """Return the function. Raises :class:`~whence.errors.InvalidRequestError` (``UNKNOWN_TRAINER``)."""
        module, _, name = self.entry_point.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidRequestError(
                f"there is no trainer {self.entry_point!r} ({error}); expected module:function, importable from here",
                reason=Reason.UNKNOWN_TRAINER,
                field="trainer",
            ) from error


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """How many of the runs are measured, and the name of the last one."""

    done: int
    total: int
    name: str


def train_and_measure(
    bank: Bank,
    trainer: Trainer,
    measurement: Measurement,
    *,
    runs: Sequence[Run] | None = None,
    parallel: int = 1,
    keep_checkpoints: bool = False,
    progress: Callable[[TrainingProgress], None] = lambda _: None,
) -> None:
    """Train and measure ``runs``, all by default: in this process or, ``parallel`` at a time, in some with one thread.

    A killed call loses the runs in hand. The checkpoint of run 0 is kept; the others' are removed once they are
    measured, unless ``keep_checkpoints``. The first failure ends the call when the runs in hand are done.
    """
    wanted = list(bank.plan.runs if runs is None else runs)
    waiting = [run for run in wanted if not bank.is_measured(run)]
    done = len(wanted) - len(waiting)
    progress(TrainingProgress(done=done, total=len(wanted), name=""))
    for run in _in_order_of_completion(waiting, parallel, partial(_work, bank, trainer, measurement, keep_checkpoints)):
        done += 1
        progress(TrainingProgress(done=done, total=len(wanted), name=run.name))


def _in_order_of_completion(runs: Sequence[Run], parallel: int, work: Callable[[Run], None]) -> Iterator[Run]:
    """Yield each run when its work is done. A failure is raised when the runs in hand are done."""
    if parallel <= 1:
        for run in runs:
            work(run)
            yield run
        return
    waiting, pending = list(runs), dict[Future[None], Run]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(parallel, mp_context=context, initializer=_one_thread) as pool:
        while waiting or pending:
            while waiting and len(pending) < parallel:
                run = waiting.pop(0)
                pending[pool.submit(work, run)] = run
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                run = pending.pop(future)
                future.result()
                yield run


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _work(bank: Bank, trainer: Trainer, measurement: Measurement, keep: bool, run: Run) -> None:
    stem = f"run-{run.number:04}"
    checkpoint, log = bank.folder / "checkpoints" / stem, bank.folder / "logs" / f"{stem}.log"
    for folder in (checkpoint, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    given = TrainingRun(
        number=run.number,
        name=run.name,
        seed=run.seed,
        documents_file=bank.documents_file(run),
        checkpoint=checkpoint,
        log=log,
    )
    trained = trainer.train(given)
    if not any(trained.iterdir()):
        raise _failed(given, f"it left nothing in {trained}")
    bank.add(run, measurement.measure(trained))
    if not keep and run.number != 0:
        shutil.rmtree(checkpoint)


def _failed(run: TrainingRun, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"the training of run {run.number} ({run.name}) failed: {why}; its output is in {run.log}. Mend it and run "
        "the same command again: what is measured is kept",
        reason=Reason.TRAINING_FAILED,
        field="train_command",
        run=run.number,
    )
