"""The bank: a folder that holds a plan, the queries, and what each trained model said. Runs are shared by all methods.

``plan.json`` and ``queries.jsonl`` are written once, but that removals may be added to the plan.
``documents/<run>.txt`` has the ids that a run is trained on, one a line, for trainers that are not ours.
``runs/<run>.json`` has a run's log-likelihoods; it is written whole or not at all, so several trainers may fill a bank
at the same time, and a killed one loses the run in hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from whence.errors import CorruptArtefactError, InvalidRequestError, MismatchError, NotFoundError
from whence.reasons import Reason
from whence_backends.store.artefact import digest_bytes, write_atomically
from whence_backends.validation.outcomes import FloatArray, Outcomes
from whence_backends.validation.plan import Plan, Run
from whence_backends.validation.plan_file import from_json, to_json

_PLAN: Final = "plan.json"
_QUERIES: Final = "queries.jsonl"


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What one model said, in nats: ``queries`` float64 [Q], ``sequences`` float64 [N] in the order of the corpus."""

    queries: FloatArray
    sequences: FloatArray


@final
class Bank:
    """A bank on disk. State: the files; several processes may add runs."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan

    @classmethod
    def create(cls, folder: Path, plan: Plan, queries: bytes) -> Bank:
        """Write the plan and the queries, a JSONL file, to a folder. The same plan again opens it, with its removals.

        Raises :class:`~whence.errors.MismatchError` (``PLAN_EXISTS``) for a folder with another plan.
        """
        if (folder / _PLAN).exists():
            bank = cls.open(folder)
            if to_json(plan) not in (to_json(bank.plan), to_json(bank.plan.without_removals())):
                raise _other_plan(folder)
            return bank
        _write(folder / _QUERIES, queries)
        bank = cls(folder, plan)
        bank._write_plan(plan.runs)
        return bank

    def extended(self, plan: Plan) -> Bank:
        """Write a plan that has removals in the place of this bank's, which has none, and return its bank.

        What is measured stays. Raises :class:`~whence.errors.MismatchError` (``PLAN_EXISTS``) if the plans differ in
        more than that, and for other removals than those that are planned.
        """
        if to_json(plan) == to_json(self.plan):
            return self
        if self.plan.removals or to_json(plan.without_removals()) != to_json(self.plan):
            raise _other_plan(self.folder)
        bank = Bank(self.folder, plan)
        bank._write_plan(plan.runs[len(self.plan.runs) :])
        return bank

    @classmethod
    def open(cls, folder: Path) -> Bank:
        """Open a bank. Raises :class:`~whence.errors.NotFoundError` for a folder without a plan."""
        try:
            plan = from_json(json.loads((folder / _PLAN).read_bytes()))
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{folder} has no {_PLAN}: make a plan with `whence validate plan --out {folder}`",
                reason=Reason.PLAN_NOT_FOUND,
                path=folder,
            ) from error
        except ValueError as error:
            raise _corrupt(folder / _PLAN, str(error)) from error
        bank = cls(folder, plan)
        if digest_bytes(bank.queries_file.read_bytes()) != plan.queries_digest:
            raise _corrupt(bank.queries_file, "it is not the file that the plan was made with")
        return bank

    @property
    def queries_file(self) -> Path:
        """The queries, one JSON object a line."""
        return self.folder / _QUERIES

    def documents_file(self, run: Run) -> Path:
        """Return the file with the ids of the documents that a run is trained on."""
        return self.folder / "documents" / f"{_stem(run)}.txt"

    def run(self, number: int) -> Run:
        """Return a run of the plan. Raises :class:`~whence.errors.InvalidRequestError` for an unknown number."""
        if not 0 <= number < len(self.plan.runs):
            raise InvalidRequestError(
                f"the plan has no run {number}; its runs are 0 to {len(self.plan.runs) - 1}",
                reason=Reason.UNKNOWN_RUN,
                field="run",
            )
        return self.plan.runs[number]

    def require_corpus(self, digest: str) -> None:
        """Refuse another corpus than the plan's: :class:`~whence.errors.MismatchError` (``BANK_CORPUS_MISMATCH``)."""
        if digest != self.plan.corpus_digest:
            raise MismatchError(
                f"the plan in {self.folder} was made for the corpus {self.plan.corpus_digest}, and this is {digest}; "
                "give that corpus, or plan anew",
                reason=Reason.BANK_CORPUS_MISMATCH,
                path=self.folder,
            )

    def is_measured(self, run: Run) -> bool:
        """Return whether a run's log-likelihoods are here."""
        return self._file(run).exists()

    def missing(self) -> list[Run]:
        """Return the runs that are not measured yet, in the order of the plan."""
        return [run for run in self.plan.runs if not self.is_measured(run)]

    def add(self, run: Run, measured: Measured) -> None:
        """Write the log-likelihoods of a run. Raises :class:`~whence.errors.InvalidRequestError` for NaN."""
        for name, values in (("queries", measured.queries), ("sequences", measured.sequences)):
            if not np.isfinite(values).all():
                raise InvalidRequestError(
                    f"the model of run {run.number} gives {(~np.isfinite(values)).sum()} of the {len(values)} {name} "
                    "no finite log-likelihood; its training has diverged",
                    reason=Reason.NON_FINITE_LOG_LIKELIHOOD,
                    field=name,
                )
        document = {
            "run": run.number,
            "name": run.name,
            "seed": run.seed,
            "queries": _rounded(measured.queries),
            "sequences": _rounded(measured.sequences),
        }
        _write(self._file(run), json.dumps(document, separators=(",", ":")).encode() + b"\n")

    def measured(self, run: Run) -> Measured:
        """Return the log-likelihoods of a run. Raises :class:`~whence.errors.CorruptArtefactError` for a torn file."""
        path = self._file(run)
        try:
            document: dict[str, Any] = json.loads(path.read_bytes())
            if (document["name"], document["seed"]) != (run.name, run.seed):
                raise ValueError(f"it is of {document['name']} with the seed {document['seed']}")
            return Measured(
                queries=np.array(document["queries"], np.float64), sequences=np.array(document["sequences"], np.float64)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _corrupt(path, str(error)) from error

    def outcomes(self, documents: Sequence[str]) -> Outcomes:
        """Return the measured runs as arrays. ``documents`` has the document id of each training sequence.

        Raises :class:`~whence.errors.NotFoundError` if no run is measured, and
        :class:`~whence.errors.MismatchError` if the sequences are not those that were measured.
        """
        runs = [run for run in self.plan.runs if self.is_measured(run)]
        if not runs:
            raise NotFoundError(
                f"{self.folder} has no measured run yet; fill it with `whence validate run` or `… measure`",
                reason=Reason.RUN_NOT_FOUND,
                path=self.folder,
            )
        measured = [self.measured(run) for run in runs]
        if wrong := next((row for row in measured if len(row.sequences) != len(documents)), None):
            raise MismatchError(
                f"{self.folder} has log-likelihoods of {len(wrong.sequences)} training sequences, the corpus "
                f"{len(documents)}; give the corpus that the plan was made with",
                reason=Reason.BANK_CORPUS_MISMATCH,
                path=self.folder,
            )
        place = {document: number for number, document in enumerate(self.plan.documents)}
        of_sequence: NDArray[np.intp] = np.array([place[document] for document in documents], np.intp)
        return Outcomes(
            runs=tuple(runs),
            members=np.stack([self.plan.documents_of[run.name][of_sequence] for run in runs]),
            queries=np.stack([row.queries for row in measured]),
            sequences=np.stack([row.sequences for row in measured]),
        )

    def _write_plan(self, new: Sequence[Run]) -> None:
        """Write the document lists of new runs, then the plan: one that is there has all its lists."""
        for run in new:
            lines = "".join(f"{document}\n" for document in self.plan.ids(run))
            _write(self.documents_file(run), lines.encode())
        _write(self.folder / _PLAN, json.dumps(to_json(self.plan), indent=1).encode() + b"\n")

    def _file(self, run: Run) -> Path:
        return self.folder / "runs" / f"{_stem(run)}.json"


def _other_plan(folder: Path) -> MismatchError:
    return MismatchError(
        f"{folder} holds another plan; continue with that one, or plan into another folder",
        reason=Reason.PLAN_EXISTS,
        path=folder,
    )


def _stem(run: Run) -> str:
    return f"run-{run.number:04}"


def _rounded(values: FloatArray) -> list[float]:
    """Return the values to 1e-4 nats: far below the noise of a seed, and a third of the bytes."""
    return [round(value, 4) for value in values.tolist()]


def _write(path: Path, content: bytes) -> None:
    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)


def _corrupt(path: Path, why: str) -> CorruptArtefactError:
    return CorruptArtefactError(
        f"{path} is damaged ({why}); restore it, or remove it and make it again",
        reason=Reason.CORRUPT_ARTEFACT,
        path=path,
    )
