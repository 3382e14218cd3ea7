"""Making a corpus: the same bytes each time, whatever happened before."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from whence.errors import InvalidRequestError, MismatchError, StorageError
from whence_backends.corpus import ChunkPolicy, Columns, Corpus, IngestConfig, ingest
from whence_backends.models import Tokenizer, locate_model
from whence_backends.store import ArtefactWriter

WORDS = ["owl", "light", "harbour", "keeps", "Grüße", "東京", "🎉", "and so to bed."]


@pytest.fixture
def config(tmp_path, jsonl, tokenizer):
    """300 documents of some 40 tokens, cut into overlapping sequences in several shards."""
    chance = random.Random(7)
    rows = [
        {"id": f"d{n}", "text": " ".join(chance.choices(WORDS, k=20)), "source": f"s{n % 3}", "n": n}
        for n in range(300)
    ]
    policy = ChunkPolicy(max_tokens=32, stride=24, bos=True, eos=True)
    data = jsonl(rows)
    return IngestConfig(inputs=[data], out=tmp_path / "a", tokenizer=tokenizer, policy=policy, shard_tokens=5000)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_input_gives_the_same_bytes(config, tmp_path):
    first, second = ingest(config), ingest(replace(config, out=tmp_path / "b"))
    assert contents(config.out) == contents(tmp_path / "b")
    assert first.digest == second.digest
    assert first.shards > 2


def test_the_report_agrees_with_the_corpus(config):
    report = ingest(config)
    corpus = Corpus.open(config.out)
    lengths = [length for shard in corpus.shards for length in corpus.lengths(shard.name).tolist()]
    assert (report.sequences, report.tokens) == (len(lengths), sum(lengths)) == (corpus.sequences, corpus.tokens)
    assert (report.documents, report.longest_sequence) == (300, max(lengths))
    assert sum(counts.tokens for counts in report.sources.values()) == report.tokens
    assert {name: counts.documents for name, counts in report.sources.items()} == {
        "s0": 100,
        "s1": 100,
        "s2": 100,
    }


def test_every_token_of_every_document_counts_once_in_the_finished_corpus(config, records):
    ingest(config)
    corpus = Corpus.open(config.out)
    counted = sum(int(record.weights.sum()) for record in records(corpus))
    rows = [json.loads(line) for line in config.inputs[0].read_text().splitlines()]
    encodings = config.tokenizer.encode_batch([row["text"] for row in rows])
    assert counted == sum(len(encoding.ids) + 1 for encoding in encodings)  # the eos too; the bos is context


def test_shards_follow_each_other_and_are_as_full_as_they_may_be(config):
    ingest(config)
    corpus = Corpus.open(config.out)
    positions = [p for shard in corpus.shards for p in corpus.positions(shard.name)]
    assert positions == list(range(corpus.sequences))
    assert all(shard.tokens <= config.shard_tokens for shard in corpus.shards)
    for shard, following in pairwise(corpus.shards):
        assert shard.tokens + corpus.lengths(following.name)[0] > config.shard_tokens


def test_the_cut_into_shards_does_not_change_the_sequences(config, tmp_path, records):
    ingest(config)
    ingest(replace(config, out=tmp_path / "one", shard_tokens=10**9))
    many, one = records(Corpus.open(config.out)), records(Corpus.open(tmp_path / "one"))
    assert [(r.sequence_id, r.token_ids.tolist()) for r in many] == [(r.sequence_id, r.token_ids.tolist()) for r in one]


def test_a_run_that_was_interrupted_anywhere_is_made_good_by_the_next(config, tmp_path):
    ingest(replace(config, out=tmp_path / "whole"))

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(config, interrupt)
    assert not list(config.out.iterdir())
    ingest(config)
    assert contents(config.out) == contents(tmp_path / "whole")


def test_a_run_that_was_killed_is_made_good_by_the_next(config, tmp_path):
    ingest(replace(config, out=tmp_path / "whole"))
    config.out.mkdir()
    (config.out / "shard-00000.arrow").write_bytes(b"of another run")
    (config.out / "shard-00077.arrow").write_bytes(b"of another run")
    (config.out / "shard-00001.arrow.partial").write_bytes(b"half")
    ingest(config)
    assert contents(config.out) == contents(tmp_path / "whole")


def test_a_second_job_in_the_folder_is_refused_while_the_first_works(config):
    refused = []

    def begin_another(progress):
        with pytest.raises(StorageError, match="another job is writing") as caught:
            ingest(replace(config, overwrite=True))
        refused.append(caught.value.reason)

    report = ingest(config, begin_another)
    assert set(refused) == {"FOLDER_IN_USE"}
    assert Corpus.open(config.out).sequences == report.sequences


def test_running_again_only_checks(config):
    first = ingest(config)
    before = {path: path.stat().st_mtime_ns for path in config.out.iterdir()}
    again = ingest(config)
    assert again == replace(first, already_there=True)
    assert {path: path.stat().st_mtime_ns for path in config.out.iterdir()} == before


def test_running_again_mends_a_damaged_shard(config):
    ingest(config)
    whole = contents(config.out)
    (config.out / "shard-00001.arrow").write_bytes(b"damaged")
    assert not ingest(config).already_there
    assert contents(config.out) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"policy": ChunkPolicy(max_tokens=64)},
        {"columns": Columns(source_field="n")},
        {"shard_tokens": 4000},
    ],
)
def test_another_corpus_in_the_same_place_must_be_overwritten_on_purpose(config, change):
    before = ingest(config)
    with pytest.raises(InvalidRequestError, match="other inputs or settings") as caught:
        ingest(replace(config, **change))
    assert caught.value.reason == "CORPUS_EXISTS"
    assert ingest(config) == replace(before, already_there=True)
    assert ingest(replace(config, overwrite=True, **change)).digest != before.digest
    Corpus.open(config.out)


def test_a_changed_input_is_another_corpus(config):
    ingest(config)
    with config.inputs[0].open("a") as file:
        file.write('{"text": "One more owl"}\n')
    with pytest.raises(InvalidRequestError, match="other inputs or settings"):
        ingest(config)


def test_another_artefact_is_never_overwritten(config):
    ArtefactWriter(config.out, "whence.factors/1").finish([], {})
    with pytest.raises(MismatchError, match=r"whence\.factors/1"):
        ingest(replace(config, overwrite=True))


def test_progress_grows_to_the_end_of_the_input(config):
    seen = []
    report = ingest(config, seen.append)
    read = [progress.bytes_read for progress in seen]
    assert read == sorted(read)
    assert read[-1] == seen[-1].bytes_total == config.inputs[0].stat().st_size
    assert (seen[-1].documents, seen[-1].sequences, seen[-1].tokens) == (300, report.sequences, report.tokens)


def test_a_policy_that_wants_a_token_the_tokenizer_lacks_is_refused(config, tmp_path, write_model):
    plain = Tokenizer.load(locate_model(str(write_model(tmp_path / "plain", specials=False))))
    with pytest.raises(InvalidRequestError, match="asks for bos") as caught:
        ingest(replace(config, tokenizer=plain))
    assert caught.value.reason == "MISSING_SPECIAL_TOKEN"


def test_conversations_need_a_chat_template(config, tmp_path, write_model):
    plain = Tokenizer.load(locate_model(str(write_model(tmp_path / "plain", chat_template=None))))
    with pytest.raises(InvalidRequestError) as caught:
        ingest(replace(config, tokenizer=plain, columns=Columns(messages_field="m")))
    assert caught.value.reason == "MISSING_CHAT_TEMPLATE"


def test_a_full_disk_is_a_storage_error_that_leaves_no_half_shard(config, tiny_folder):
    script = """
import resource, signal, sys
sys.modules["torch"] = None  # not needed, and slow to import
from pathlib import Path
from whence_backends.corpus import IngestConfig, ingest
from whence_backends.models import Tokenizer, locate_model
from whence.errors import StorageError
model, data, out = sys.argv[1:]
config = IngestConfig(inputs=[Path(data)], out=Path(out), tokenizer=Tokenizer.load(locate_model(model)))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    ingest(config)
except StorageError as error:
    sys.exit(0 if error.reason == "DISK_FULL" and not list(Path(out).iterdir()) else str(error))
sys.exit("no error")
"""
    command = [sys.executable, "-c", script, str(tiny_folder), str(config.inputs[0]), str(config.out)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_a_file_in_the_place_of_the_folder_is_left_alone(config):
    config.out.write_text("precious")
    with pytest.raises(InvalidRequestError, match="is a file"):
        ingest(config)
    assert config.out.read_text() == "precious"


def test_shards_are_finished_while_the_input_is_still_being_read(config, monkeypatch):
    monkeypatch.setattr("whence_backends.corpus.ingestion.pipeline._BATCH_DOCUMENTS", 16)
    finished = []
    report = ingest(config, lambda _: finished.append(len(list(config.out.glob("*.arrow")))))
    assert finished == sorted(finished)
    assert finished[0] == 0
    assert 0 < finished[len(finished) // 2] < report.shards
