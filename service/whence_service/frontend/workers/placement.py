"""The shards that workers hold, and the generation of a model that answers: pure functions of the workers' answers.

A *generation* is one combination of model, factors, corpus and index digests under one served name. An answer comes
from workers of one generation only. If several are complete, the one with the most replicas of its scarcest shard is
chosen; then the one with the most workers; then one with an index; then the one whose digests sort first. The choice is
stateless, so all front ends that see the same workers agree, and a rollout takes effect when the new generation
outnumbers the old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from whence.errors import InvalidRequestError, NotFoundError, UnavailableError
from whence.reasons import Reason, WarningCode
from whence.v1 import model_pb2
from whence.worker.v1 import worker_service_pb2
from whence_service.frontend.workers.certificates import share_certificate


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """A worker's last report of its artefacts and shards; ``reachable`` is false once it no longer answers."""

    address: str
    info: worker_service_pb2.GetInfoResponse
    reachable: bool = True


@dataclass(frozen=True, kw_only=True, order=True)
class GenerationId:
    """The name and the digests that every worker of a generation shares."""

    model: str
    model_digest: str
    factors_digest: str
    corpus_digest: str
    index_digest: str = ""  # empty if there is no index

    def to_proto(self) -> worker_service_pb2.Generation:
        """Return the digests that workers compare with their own."""
        return worker_service_pb2.Generation(
            model_digest=self.model_digest,
            factors_digest=self.factors_digest,
            corpus_digest=self.corpus_digest,
            index_digest=self.index_digest,
        )


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Every shard of a generation's corpus, in order, with the reachable workers that hold it (sorted)."""

    id: GenerationId
    model: model_pb2.Model  # as a worker described it; never changed
    shards: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]  # sequences by shard, for shards that a worker reported
    firsts: Mapping[str, int]  # the position of each such shard's first sequence
    engines: tuple[str, ...]

    @cached_property
    def workers(self) -> tuple[str, ...]:
        """Every reachable worker that holds a part of it, sorted."""
        return tuple(sorted({worker for holders in self.shards.values() for worker in holders}))

    @property
    def missing(self) -> tuple[str, ...]:
        """The shards that no reachable worker holds."""
        return tuple(shard for shard, holders in self.shards.items() if not holders)

    @property
    def covered(self) -> bool:
        """True if every shard has a reachable worker."""
        return bool(self.shards) and not self.missing

    @property
    def replicas(self) -> int:
        """The number of workers that hold the scarcest shard."""
        return min((len(holders) for holders in self.shards.values()), default=0)

    def shard_of(self, position: int) -> str:
        """Return the shard that a position of the corpus is in; ``KeyError`` if no worker reported it."""
        for shard, first in self.firsts.items():
            if first <= position < first + self.sizes[shard]:
                return shard
        raise KeyError(position)

    def share_without(self, unreachable: Iterable[str]) -> float:
        """Return the share of the corpus's sequences that lies outside the unreachable shards."""
        missing = set(unreachable)
        if not missing:
            return 1.0
        reachable = sum(size for shard, size in self.sizes.items() if shard not in missing)
        return reachable / max(1, self.model.corpus_sequences)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The names of the tracked layers, in the order of every per-layer tensor."""
        return tuple(layer.name for layer in self.model.layers)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Every known model with its generations, best first. Immutable: a refresh makes a new one."""

    models: Mapping[str, tuple[Generation, ...]] = field(default_factory=dict)
    silent: tuple[str, ...] = ()  # workers that do not answer
    restricted: bool = False  # whether models are left out that do not exist for the caller

    @property
    def served(self) -> tuple[str, ...]:
        """The names of the models that can be queried."""
        return tuple(name for name, generations in self.models.items() if generations[0].covered)

    def visible(self, sees: Callable[[str], bool]) -> Placement:
        """Return the placement for a caller for whom only those models exist that it ``sees``."""
        models = {name: generations for name, generations in self.models.items() if sees(name)}
        return self if len(models) == len(self.models) else replace(self, models=models, restricted=True)

    def choose(self, name: str, *, partial: bool = False) -> Generation:
        """Return the generation that answers for ``name`` (which may be empty if there is only one model).

        With ``partial`` it may lack shards, as long as it has one.
        Raises :class:`~whence.errors.NotFoundError` (``MODEL_NOT_FOUND``),
        :class:`~whence.errors.InvalidRequestError` (``MISSING_MODEL``) and
        :class:`~whence.errors.UnavailableError` (``SHARD_UNAVAILABLE``, ``WORKERS_UNAVAILABLE``).
        """
        generation = self.find(name)
        if not generation.covered and not (partial and generation.workers):
            raise _uncovered(generation)
        return generation

    def find(self, name: str) -> Generation:
        """Return the best generation of ``name``, covered or not; raises as :meth:`choose` does otherwise."""
        if not self.models and not self.restricted:
            raise UnavailableError(
                f"no worker has answered yet (silent: {_listing(self.silent)}); check that they run and try again",
                reason=Reason.WORKERS_UNAVAILABLE,
                workers=_listing(self.silent),
            )
        if not name and len(self.models) > 1:
            raise InvalidRequestError(
                f"the request names no model and several are served; name one of {_listing(self.models)}",
                reason=Reason.MISSING_MODEL,
                field="model",
                models=_listing(self.models),
            )
        generations = self.models.get(name) if name else next(iter(self.models.values()), None)
        if generations is None:
            raise NotFoundError(
                f"no model {name!r} is served here; known: {_listing(self.models)}",
                reason=Reason.MODEL_NOT_FOUND,
                model=name,
                models=_listing(self.models),
            )
        return generations[0]


def build_placement(views: Iterable[WorkerView], silent: Iterable[str] = ()) -> Placement:
    """Return the placement that follows from the workers' reports.

    The report of a worker that is no longer reachable still counts for the existence of shards, but not for holding
    them.
    """
    by_id: dict[GenerationId, list[WorkerView]] = {}
    for view in sorted(views, key=lambda view: view.address):
        by_id.setdefault(_id_of(view.info), []).append(view)
    models: dict[str, list[Generation]] = {}
    for id_ in sorted(by_id):
        models.setdefault(id_.model, []).append(_generation(id_, by_id[id_]))
    return Placement(
        models={name: tuple(sorted(generations, key=_preference)) for name, generations in models.items()},
        silent=tuple(sorted(silent)),
    )


def _id_of(info: worker_service_pb2.GetInfoResponse) -> GenerationId:
    model = info.model
    return GenerationId(
        model=model.name,
        model_digest=model.model_digest,
        factors_digest=model.factors_digest,
        corpus_digest=model.corpus_digest,
        index_digest=model.index.digest,
    )


def _generation(id_: GenerationId, views: list[WorkerView]) -> Generation:
    holders: dict[str, list[str]] = {shard: [] for view in views for shard in view.info.corpus_shards}
    sizes: dict[str, int] = {}
    firsts: dict[str, int] = {}
    for view in views:
        for shard in view.info.shards:
            sizes[shard.shard] = shard.sequences
            firsts[shard.shard] = shard.first_position
            if view.reachable and shard.shard in holders:
                holders[shard.shard].append(view.address)
    model = _model_of_all([view.info.model for view in views])
    for name in ("max_queries", "max_batch_queries", "max_query_tokens", "max_text_bytes"):  # what all of them can
        setattr(model.limits, name, min(getattr(view.info.model.limits, name) for view in views))
    checked = [view.info.model.gradient_error for view in views if view.info.model.HasField("gradient_error")]
    if checked:
        model.gradient_error = max(checked)
    share_certificate(model, [view.info.model.certificate for view in views])
    return Generation(
        id=id_,
        model=model,
        shards={shard: tuple(workers) for shard, workers in holders.items()},
        sizes=sizes,
        firsts=firsts,
        engines=tuple(sorted({view.info.model.engine for view in views})),
    )


def _model_of_all(models: list[model_pb2.Model]) -> model_pb2.Model:
    """Return the model that workers describe, with the warnings of all of them, and the largest N if they differ."""
    model = model_pb2.Model()
    model.CopyFrom(max(models, key=lambda description: description.training_set_size))  # the first of equals
    said = {(warning.code, warning.message): warning for described in models for warning in described.warnings}
    del model.warnings[:]
    model.warnings.extend(said.values())
    sizes = sorted({described.training_set_size for described in models})
    if len(sizes) > 1:
        model.warnings.add(
            code=WarningCode.TRAINING_SETS_DIFFER,
            message=f"the workers divide influences by different N ({', '.join(f'{size:,}' for size in sizes)}); the "
            "largest is used: start all of them with the same --training-sequences",
        )
    return model


def _preference(generation: Generation) -> tuple[int, int, bool, GenerationId]:
    # A generation that lacks a shard has 0 replicas of its scarcest one, so complete ones come first.
    return -generation.replicas, -len(generation.workers), not generation.id.index_digest, generation.id


def _uncovered(generation: Generation) -> UnavailableError:
    shards = _listing(generation.missing) if generation.shards else "all"
    return UnavailableError(
        f"no reachable worker holds these corpus shards of {generation.id.model!r}: {shards}; an answer "
        "without them would be wrong, so none is given; start their workers and try again",
        reason=Reason.SHARD_UNAVAILABLE,
        model=generation.id.model,
        shards=shards,
    )


def _listing(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
