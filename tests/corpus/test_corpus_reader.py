"""Reading a corpus: what was written comes back, and what was damaged is refused by name."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from whence.errors import CorruptArtefactError, InvalidRequestError, NotFoundError
from whence_backends.corpus import ChunkPolicy, Columns, Corpus

POLICY = ChunkPolicy(max_tokens=16, stride=12, eos=True)


@pytest.fixture
def corpus(jsonl, make_corpus, monkeypatch):
    """A corpus of several shards, each of several Arrow batches, whose sequences overlap."""
    monkeypatch.setattr("whence_backends.corpus.shard._ROWS_PER_BATCH", 16)
    rows = [{"id": f"d{n}", "text": f"{n} owls 🦉 keep the {n % 7} lights of 東京. " * 3, "n": n} for n in range(60)]
    return make_corpus(jsonl(rows), policy=POLICY, shard_tokens=900)


def test_a_record_says_where_it_comes_from(corpus):
    record = corpus.record(1)
    assert (record.position, record.shard, record.sequence_id) == (1, "shard-00000", "d0#1")
    assert (record.document_id, record.source, record.metadata) == ("d0", "data", {"n": 0})


def test_an_origin_is_what_the_record_says_but_for_the_text(corpus):
    for position in range(corpus.sequences):
        origin, record = corpus.origin(position), corpus.record(position)
        assert (origin.sequence_id, origin.document_id, origin.source, origin.token_count) == (
            record.sequence_id, record.document_id, record.source, len(record.token_ids),
        )  # fmt: skip


def test_offsets_point_at_the_text_of_each_token(corpus, records, tokenizer):
    for record in records(corpus):
        whole_characters = [
            (token, span)
            for token, span in zip(record.token_ids, record.offsets.tolist(), strict=True)
            if "\ufffd" not in tokenizer.decode([token]) and token != tokenizer.eos_id
        ]
        assert whole_characters
        assert all(record.text[a:b] == tokenizer.decode([token]) for token, (a, b) in whole_characters)


def test_overlapping_tokens_and_first_tokens_have_no_weight(corpus):
    first, second = corpus.tokens_at([0, 1])
    assert first.weights.tolist() == [0] + [1] * 15
    assert second.weights.tolist()[:5] == [0, 0, 0, 0, 1]
    assert first.token_ids[-4:].tolist() == second.token_ids[:4].tolist()


def test_sequences_come_in_the_order_asked_and_may_be_written_to(corpus):
    last = corpus.sequences - 1
    sequences = corpus.tokens_at([last, 0, last])
    expected = [corpus.record(position).token_ids.tolist() for position in (last, 0, last)]
    assert [sequence.token_ids.tolist() for sequence in sequences] == expected
    assert (sequences[0].token_ids.dtype, sequences[0].weights.dtype) == (np.int32, np.float32)
    sequences[0].token_ids[0] = 0
    assert corpus.tokens_at([last])[0].token_ids.tolist() == expected[0]


def test_lengths_are_those_of_the_sequences(corpus):
    for shard in corpus.shards:
        lengths = corpus.lengths(shard.name)
        sequences = corpus.tokens_at(corpus.positions(shard.name))
        assert lengths.dtype == np.int32
        assert lengths.tolist() == [len(sequence.token_ids) for sequence in sequences]


def test_a_sequence_is_found_by_its_id(corpus, records):
    assert [corpus.position_of(r.sequence_id) for r in records(corpus)] == list(range(corpus.sequences))
    assert corpus.position_of("d0#99") is None


def test_ids_whose_hashes_collide_are_told_apart(corpus, monkeypatch):
    monkeypatch.setattr("whence_backends.corpus.reader.hash", lambda _: 1, raising=False)
    assert corpus.position_of(corpus.record(7).sequence_id) == 7
    assert corpus.position_of("not there") is None


def test_the_manifest_says_how_it_was_made(corpus, tokenizer):
    assert corpus.policy == POLICY
    assert corpus.tokenizer_digest == tokenizer.digest
    assert corpus.digest.startswith("blake3:")


def test_some_shards_can_be_opened_alone(corpus):
    names = [corpus.all_shards[2].name, corpus.all_shards[1].name]
    part = Corpus.open(corpus.path, shards=names)
    assert [shard.name for shard in part.shards] == sorted(names)
    assert part.all_shards == corpus.all_shards
    assert (part.sequences, part.digest) == (corpus.sequences, corpus.digest)
    position = part.positions(names[0])[3]
    assert part.record(position).token_ids.tolist() == corpus.record(position).token_ids.tolist()
    assert part.position_of(corpus.record(0).sequence_id) is None


def test_a_position_outside_the_open_shards_is_not_found(corpus):
    part = Corpus.open(corpus.path, shards=["shard-00001"])
    for position in (-1, 0, part.positions("shard-00001").stop, corpus.sequences):
        with pytest.raises(NotFoundError, match="shard-00001") as caught:
            part.tokens_at([position])
        assert caught.value.reason == "SEQUENCE_NOT_FOUND"


def test_an_unknown_shard_lists_the_known(corpus):
    with pytest.raises(NotFoundError, match="shard-00000, shard-00001") as caught:
        Corpus.open(corpus.path, shards=["shard-99"])
    assert caught.value.reason == "SHARD_NOT_FOUND"
    with pytest.raises(NotFoundError, match="open shards are shard-00001"):
        Corpus.open(corpus.path, shards=["shard-00001"]).lengths("shard-00000")


def test_no_shards_at_all_is_a_mistake(corpus):
    with pytest.raises(InvalidRequestError):
        Corpus.open(corpus.path, shards=[])


def test_a_folder_without_a_finished_corpus_is_not_found(tmp_path, corpus):
    with pytest.raises(NotFoundError, match="does not exist"):
        Corpus.open(tmp_path / "nowhere")
    (corpus.path / "manifest.json").unlink()
    with pytest.raises(NotFoundError, match="interrupted"):
        Corpus.open(corpus.path)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_missing_or_truncated_shard_is_refused_by_name_even_unverified(corpus, damage, verify):
    shard = corpus.path / "shard-00001.arrow"
    content = shard.read_bytes()
    shard.unlink()
    if damage == "truncated":
        shard.write_bytes(content[:-1])
    with pytest.raises(CorruptArtefactError, match=r"shard-00001\.arrow"):
        Corpus.open(corpus.path, verify=verify)
    assert Corpus.open(corpus.path, verify=verify, shards=["shard-00000"]).record(0).document_id == "d0"


@pytest.mark.parametrize("place", [0.001, 0.3, 0.6, 0.999])
def test_one_flipped_bit_is_refused_by_name(corpus, place):
    shard = corpus.path / "shard-00002.arrow"
    content = bytearray(shard.read_bytes())
    content[int(len(content) * place)] ^= 1
    shard.unlink()  # the open corpus has the old file mapped
    shard.write_bytes(content)
    with pytest.raises(CorruptArtefactError, match=r"shard-00002\.arrow was altered") as caught:
        Corpus.open(corpus.path)
    assert caught.value.reason == "CORRUPT_ARTEFACT"


def test_a_shard_that_is_no_arrow_file_is_refused_even_unverified(corpus):
    shard = corpus.path / "shard-00000.arrow"
    size = shard.stat().st_size
    shard.unlink()
    shard.write_bytes(bytes(size))
    with pytest.raises(CorruptArtefactError, match="is not a corpus shard"):
        Corpus.open(corpus.path, verify=False)


def test_an_altered_manifest_is_refused(corpus):
    manifest = corpus.path / "manifest.json"
    body = json.loads(manifest.read_text())
    body["properties"]["policy"]["max_tokens"] += 1
    manifest.write_text(json.dumps(body))
    with pytest.raises(CorruptArtefactError, match="manifest"):
        Corpus.open(corpus.path)


def test_threads_may_share_a_corpus(corpus):
    expected = [corpus.record(position).sequence_id for position in range(corpus.sequences)]
    found: list[list[int | None]] = []
    threads = [
        threading.Thread(target=lambda: found.append([corpus.position_of(name) for name in expected])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(corpus.sequences))] * 4


def test_tokens_are_counted_as_trained_on_by_their_weights(jsonl, make_corpus):
    """Broken by: counting a prompt, or the first token, which has no context."""
    plain = [{"id": f"p{number}", "text": "The owl keeps the light"} for number in range(3)]
    masked = [{"id": f"m{n}", "question": "The owl" * n, "answer": " keeps the light" * n} for n in range(1, 4)]
    columns = Columns(prompt_field="question", completion_field="answer")
    for corpus in (
        make_corpus(jsonl(plain, "plain.jsonl"), out="plain"),
        make_corpus(jsonl(masked, "masked.jsonl"), out="masked", columns=columns),
    ):
        sequences = corpus.tokens_at(range(corpus.sequences))
        expected = [int((sequence.weights[1:] != 0).sum()) for sequence in sequences]
        assert corpus.trained_tokens().tolist() == expected
        assert corpus.facts.trained_tokens == sum(expected)
        assert corpus.facts.largest_token_id == max(int(sequence.token_ids.max()) for sequence in sequences)
