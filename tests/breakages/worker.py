"""Of workers."""

from __future__ import annotations

from breakage import WORKER, Breakage

BREAKAGES = (
    Breakage(
        name="a warning of a kept query that names another's place",
        file=f"{WORKER}/requests/recent_queries.py",
        old="keys = [(number, query.Ser",
        new="keys = [(0, query.Ser",
        tests="tests/worker/requests/test_recent_queries.py",
    ),
    Breakage(
        name="a kept sequence in the place of an earlier request",
        file=f"{WORKER}/requests/recent_sequences.py",
        old="replace(sequence, index=index)",
        new="sequence",
        tests="tests/worker/requests/test_recent_sequences.py",
    ),
    Breakage(
        name="gradients kept without end",
        file=f"{WORKER}/gradients/kept.py",
        old="self._kept.put(query.key, kept, _size_bytes(kept))",
        new="self._kept.put(query.key, kept, 0)",
        tests="tests/worker/gradients/test_kept.py",
    ),
    Breakage(
        name="a job whose caller has gone",
        file=f"{WORKER}/runtime/engine_thread.py",
        old="if self.future.cancelled():",
        new="if False:",
        tests="tests/worker/runtime/test_engine_thread.py",
    ),
    Breakage(
        name="factors sized in the precision of a model in bfloat16",
        file="backends/whence_backends/sizing.py",
        old='wide = 8 if precision == "float64" else 4',
        new="wide = _WEIGHT_BYTES[precision]",
        tests="tests/test_sizing.py",
    ),
    Breakage(
        name="a re-ranking whose batches span shards",
        file="backends/whence_backends/worker/scoring/rescore_batches.py",
        old="    for shard in shards:\n        rows = wanted - shard.first_position",
        new="    for shard in [HeldShard(first_position=0, lengths=np.concatenate([s.lengths for s in shards]))]:\n"
        "        rows = wanted - shard.first_position",
        tests="tests/worker/scoring/test_rescore_batches.py",
    ),
    Breakage(
        name="layers: the restriction is not in the name that gradients are kept under",
        file=f"{WORKER}/gradients/source.py",
        old="return NamedGradient(key=name,",
        new="return NamedGradient(key=named.key,",
        tests="tests/worker/scoring/test_preconditioning.py",
    ),
    Breakage(
        name="the frame of calls: artefacts of any generation",
        file=f"{WORKER}/serving/frame.py",
        old="        require_generation(model.description, request.generation)\n",
        new="",
        tests="tests/worker/serving/test_frame.py",
    ),
    Breakage(
        name="the frame of calls: responses without timings",
        file=f"{WORKER}/serving/frame.py",
        old="        call.finish(response)\n",
        new="",
        tests="tests/worker/serving/test_frame.py",
    ),
    Breakage(
        name="write behind: a worker that stops does not wait for its writes",
        file=f"{WORKER}/gradients/cache.py",
        old="timeout=_CLOSE_TIMEOUT_S",
        new="timeout=0",
        tests="tests/worker/gradients/test_cache.py",
    ),
    Breakage(
        name="single flight: a caller that leaves ends the flight of the others",
        file=f"{WORKER}/gradients/single_flight.py",
        old="if flight.waiters == 0 and not flight.task.done()",
        new="if not flight.task.done()",
        tests="tests/worker/gradients/test_query_gradients.py",
    ),
    Breakage(
        name="gradients: computed ones do not go through the codec",
        file=f"{WORKER}/gradients/cached.py",
        old="return value, decoded",
        new="return value, gradient",
        tests="tests/worker/gradients/test_query_gradients.py",
    ),
    Breakage(
        name="groups: random numbers that start anew with each shard",
        file=f"{WORKER}/searching/group_sums.py",
        old="counter=first)",
        new="counter=0)",
        tests="tests/worker/searching/test_group_sums.py",
    ),
    Breakage(
        name="a shared batch: the rows of another call",
        file=f"{WORKER}/scoring/rescore_queue.py",
        old="part = influence[rows][:, wanted]",
        new="part = influence[: len(rows)][:, wanted]",
        tests="tests/worker/scoring/test_rescore_queue.py",
    ),
    Breakage(
        name="a shared batch: begins with the same call each time",
        file=f"{WORKER}/scoring/shared_batch.py",
        old="in_turn = sorted(able, key=lambda pending: 2 if pending in chosen else pending.caller.tenant == tenant)",
        new="in_turn = able",
        tests="tests/worker/scoring/test_rescore_queue.py",
    ),
    Breakage(
        name="groups: a sequence in several groups counted several times in all",
        file=f"{WORKER}/searching/group_sums.py",
        old="of_sets.sum())",
        new="of_sets[sets].sum())",
        tests="tests/worker/searching/test_group_sums.py",
    ),
    Breakage(
        name="engine: kept queries that wait for it all the same",
        file="backends/whence_backends/worker/scoring/preconditioning.py",
        old="        if held is not None:\n            return held\n        return await",
        new="        return await",
        tests="tests/worker/scoring/test_preconditioning.py",
        only="wait_for_the_engine",
    ),
)
