"""The overlaps that shards report become that of the corpus: the best of all, however shards are divided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whence.worker.v1 import worker_service_pb2 as messages
from whence_service.frontend.calls.text_overlap import merge_overlaps

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8)


def of_shard(rows: dict[int, tuple[int, int]]) -> messages.OverlapTokensResponse:
    """What a shard reports: ``rows`` has the shared n-grams and the longest run of each position."""
    sharing = {position: row for position, row in rows.items() if row[0]}
    best = max(sharing, key=lambda position: (*sharing[position], -position), default=None)
    shared, run = (0, 0) if best is None else sharing[best]
    overlap = messages.TokenOverlap(
        tokens=9, ngram=3, shared_ngrams=shared, longest_run=run, sequences=len(sharing), position=best
    )
    return messages.OverlapTokensResponse(queries=[overlap], sequences_searched=len(rows))


@given(rows=ROWS, data=st.data())
def test_shards_that_are_merged_are_what_one_shard_of_all_reports(rows, data):
    """Broken by: ties that go to the shard that answers first; the sequences of the best shard alone."""
    numbered = dict(enumerate(rows))
    shard = {position: data.draw(st.integers(0, 2)) for position in numbered}
    parts = [{at: row for at, row in numbered.items() if shard[at] == number} for number in range(3)]
    order = data.draw(st.permutations([of_shard(part) for part in parts]))
    assert merge_overlaps(order) == list(of_shard(numbered).queries)
