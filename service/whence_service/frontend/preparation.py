"""The first hop: each query's gradient is computed by the one worker that its hash names, and cached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whence.errors import InternalError
from whence.v1 import attribution_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.fields import fields_of_caller
from whence_service.frontend.job import Job
from whence_service.frontend.pool import WorkerPool
from whence_service.frontend.together import together


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is known of the queries, in the order of the request, and what the caller should know."""

    queries: tuple[worker_service_pb2.PreparedQuery, ...]
    warnings: tuple[attribution_pb2.Warning, ...]


async def prepare(pool: WorkerPool, job: Job, *, sketch: bool = False) -> Prepared:
    """Have every query's gradient computed, each worker asked once for all of its queries.

    With ``sketch`` their sketches come too, for a search with the index.
    """
    by_worker: dict[str, list[int]] = {}
    for number, worker in enumerate(job.route.preparers):
        by_worker.setdefault(worker, []).append(number)
    with job.watch.stage("prepare"):
        answers = await together(
            _ask(pool, job, worker, numbers, sketch=sketch) for worker, numbers in by_worker.items()
        )
    found: dict[int, worker_service_pb2.PreparedQuery] = {}
    for numbers, answer in zip(by_worker.values(), answers, strict=True):
        job.watch.merge(answer.timings)
        found.update(zip(numbers, answer.queries, strict=True))
    warnings = (warning for answer in answers for warning in answer.warnings)
    return Prepared(
        queries=tuple(found[number] for number in range(len(job.queries))),
        warnings=distinct(warnings),
    )


def distinct(warnings: Iterable[attribution_pb2.Warning]) -> tuple[attribution_pb2.Warning, ...]:
    """Return the warnings without repetitions, in order."""
    by_text = {(warning.code, warning.message): warning for warning in warnings}
    return tuple(by_text.values())


async def _ask(
    pool: WorkerPool, job: Job, worker: str, numbers: Sequence[int], *, sketch: bool
) -> worker_service_pb2.PrepareQueriesResponse:
    request = worker_service_pb2.PrepareQueriesRequest(
        generation=job.generation_proto,
        queries=[job.queries[number] for number in numbers],
        sketch=sketch,
        damping_factor=job.damping_factor if sketch else 0.0,
    )
    with fields_of_caller("queries", [job.fields[number] for number in numbers]):
        answer = await pool.client(worker).prepare(request, job.deadline, job.shards_of(worker))
    if len(answer.queries) != len(numbers):
        raise InternalError(
            f"the worker {worker} answered for {len(answer.queries)} of {len(numbers)} queries",
            reason="WORKER_ANSWER_INCOMPLETE",
            worker=worker,
        )
    return answer
