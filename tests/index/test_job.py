"""The indexing as a job: killed, starved of disk, shared out, misused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import data
from index.indexed import Sharded, Subject
from whence.errors import CorruptArtefactError, InvalidRequestError, MismatchError, NotFoundError, StorageError
from whence_backends.contract import EngineConfig
from whence_backends.engines import load_engine
from whence_backends.engines.fake import FakeModel, fit_fake
from whence_backends.index import Index, IndexProgress, build_index
from whence_backends.index.codes import encode
from whence_backends.index.job import assign_shards
from whence_backends.index.sketch import make_sketcher
from whence_backends.store import digest_file

TESTS = Path(__file__).parents[1]

# Builds one index undisturbed, then others, each again and again in processes that kill themselves after so many steps,
# until that has happened fifty times. A step is a file opened, mapped, renamed or removed, counted by an audit hook, so
# that a kill can fall between any two. Prints where the finished indexes are.
SCRIPT = """
import os, random, signal, sys
tests, folder, enough = sys.argv[1:]
sys.path.insert(0, tests)
from pathlib import Path
from index.indexed import make_subject
from whence_backends.index import build_index
folder = Path(folder)
subject = make_subject(folder / "subject")

def run(out, kill_after=None):
    pid = os.fork()
    if pid:
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    steps = 0
    def hook(event, arguments):
        nonlocal steps
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "mmap.__new__"):
            steps += 1
            if steps == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    build_index(subject.config(out), subject.engine, subject.factors, subject.source)
    if kill_after is None:
        (folder / "steps").write_text(str(steps))
    os._exit(0)

run(folder / "whole")
steps = int((folder / "steps").read_text())
choose, kills, number = random.Random(0), 0, 0
while kills < int(enough):
    out = folder / f"killed-{number}"
    kills += run(out, choose.randint(1, steps // 2))
    if (out / "manifest.json").exists() or kills == int(enough):  # finished, perhaps but for its last steps
        run(out)
        print(out)
        number += 1
os._exit(0)
"""


def contents(folder: Path) -> dict[str, str]:
    """Every file's digest."""
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def build(subject: Subject, out: Path, **options: object) -> Index:
    built = build_index(subject.config(out, **options), subject.engine, subject.factors, subject.source)
    assert built is not None
    return built


def test_rows_are_the_codes_of_the_sketches_in_corpus_order(subject: Subject, tmp_path: Path) -> None:
    """Broken by: rows in the order of batches; a shard's rows counted from the corpus's start."""
    built = build(subject, tmp_path / "index")
    sketch = make_sketcher(subject.engine, built.plan(), subject.factors.Lambda)
    for info in subject.source.shards:
        rows = built.shards[info.name]
        for row in range(info.sequences):
            one = sketch(subject.source.tokens_at([info.first_position + row]))
            encoded = encode(one.values, built.card.segments, 1)
            assert np.array_equal(rows.codes[row], encoded.codes[0])
            np.testing.assert_allclose(rows.scales[row], encoded.scales[0], rtol=1e-6)
            np.testing.assert_allclose(rows.self_influence[row], one.self_influence[0], rtol=1e-6)


def test_an_index_says_what_it_is_made_of(subject: Subject, tmp_path: Path) -> None:
    card = build(subject, tmp_path / "index").card
    assert (card.factors_digest, card.corpus_digest) == (subject.factors.digest, subject.source.digest)
    assert card.bytes_per_sequence == 512 // 8 + 4 + 4
    assert card.sequences == 40


def test_the_same_model_under_another_spelling_of_its_path_is_the_same_index(subject: Subject, tmp_path: Path) -> None:
    """Broken by: comparing what the commands called the model, finished or not."""

    def interrupt(progress: IndexProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(subject.config(tmp_path / "index"), subject.engine, subject.factors, subject.source, interrupt)
    first = build(subject, tmp_path / "index", model="./fake")
    assert build(subject, tmp_path / "index", model="fake").digest == first.digest


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.exhaustive)])
def test_an_index_killed_at_many_places_ends_with_the_same_bytes(kills: int, tmp_path: Path) -> None:
    """Broken by: noting rows before they are synced; starting a shard anew in a file with other rows."""
    command = [sys.executable, "-c", SCRIPT, str(TESTS), str(tmp_path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    finished = done.stdout.split()
    assert finished
    for out in finished:
        assert contents(Path(out)) == contents(tmp_path / "whole")


def test_an_index_stopped_in_any_block_goes_on_and_ends_with_the_same_bytes(subject: Subject, tmp_path: Path) -> None:
    """Broken by: counting the block in hand as done."""
    build(subject, tmp_path / "whole")
    asked: list[IndexProgress] = []
    build_index(subject.config(tmp_path / "counted"), subject.engine, subject.factors, subject.source, asked.append)

    for stop_at in range(len(asked) - 1):
        out, seen = tmp_path / f"stopped-{stop_at}", 0

        def interrupt(_: IndexProgress) -> None:
            nonlocal seen
            seen += 1
            if seen > stop_at:  # noqa: B023 - called in this turn of the loop alone
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_index(subject.config(out), subject.engine, subject.factors, subject.source, interrupt)
        with pytest.raises(NotFoundError, match="interrupted"):
            Index.open(out)
        build(subject, out)
        assert contents(out) == contents(tmp_path / "whole")


def test_ranks_that_share_a_folder_build_what_one_job_builds(subject: Subject, tmp_path: Path) -> None:
    build(subject, tmp_path / "whole")
    out = tmp_path / "shared"
    ranks = [
        build_index(subject.config(out, rank=rank, world_size=3), subject.engine, subject.factors, subject.source)
        for rank in (2, 0, 1)
    ]
    assert ranks[:2] == [None, None]
    assert ranks[2] is not None
    assert contents(out) == contents(tmp_path / "whole")


def test_a_second_job_of_the_same_rank_or_at_the_same_shard_is_refused(subject: Subject, tmp_path: Path) -> None:
    out, refused = tmp_path / "out", []
    names = [shard.name for shard in subject.source.shards]
    of_rank_1 = [names[number] for number in assign_shards([shard.tokens for shard in subject.source.shards], 2)[1]]

    def begin_another(at: IndexProgress) -> None:
        for options in ({}, {"rank": 1, "world_size": 2}) if at.shard in of_rank_1 else ({},) if at.shard else ():
            with pytest.raises(StorageError, match="another job is writing") as caught:
                build_index(subject.config(out, **options), subject.engine, subject.factors, subject.source)
            refused.append((caught.value.reason, len(options)))

    assert build_index(subject.config(out), subject.engine, subject.factors, subject.source, begin_another)
    assert set(refused) == {("FOLDER_IN_USE", 0), ("FOLDER_IN_USE", 2)}
    assert build(subject, out)


def test_shards_are_shared_out_by_their_tokens() -> None:
    assert assign_shards([10, 100, 60, 50, 0], 2) == [[0, 1, 4], [2, 3]]
    assert assign_shards([5], 3) == [[0], [], []]
    shared = assign_shards(list(range(20)), 7)
    assert sorted(number for numbers in shared for number in numbers) == list(range(20))


@pytest.mark.parametrize("bits", [8, 16])
def test_more_bits_take_more_bytes(subject: Subject, tmp_path: Path, bits: int) -> None:
    built = build(subject, tmp_path / "index", bits=bits)
    assert built.card.bytes_per_sequence == 512 * bits // 8 + 8


def test_memory_does_not_grow_with_the_corpus(subject: Subject, tmp_path: Path) -> None:
    """What is held at a time is a batch: no call of the engine has more tokens than it may."""
    seen: list[int] = []

    class Watched:
        info = subject.engine.info

        def query_gradients(self, sequences):
            seen.append(sum(len(sequence.token_ids) for sequence in sequences))
            return subject.engine.query_gradients(sequences)

    watched = replace(subject, engine=Watched())
    build(watched, tmp_path / "index", batch_tokens=50)
    assert max(seen) <= 50


def test_a_full_disk_is_a_clear_error_and_the_job_goes_on_once_there_is_room(
    subject: Subject, tiny_disk: Path, tmp_path: Path
) -> None:
    """Broken by: writing through a map of a file with holes, which is a bus error on a full disk."""
    options = {"width": 64 * 128, "bits": 16}
    with pytest.raises(StorageError, match="free some space and run the same command again") as caught:
        build(subject, tiny_disk / "index", **options)
    assert caught.value.reason == "DISK_FULL"
    subprocess.run(["mount", "-o", "remount,size=16m", str(tiny_disk)], check=True)
    build(subject, tiny_disk / "index", **options)
    build(subject, tmp_path / "whole", **options)
    assert contents(tiny_disk / "index") == contents(tmp_path / "whole")


def test_another_index_in_the_folder_is_not_overwritten(subject: Subject, tmp_path: Path) -> None:
    built = build(subject, tmp_path / "index")
    assert build(subject, tmp_path / "index").digest == built.digest
    with pytest.raises(MismatchError, match="another bits") as caught:
        build(subject, tmp_path / "index", bits=8)
    assert caught.value.reason == "INDEX_EXISTS"


def test_another_unfinished_index_in_the_folder_is_not_mixed_up(subject: Subject, tmp_path: Path) -> None:
    build_index(subject.config(tmp_path / "index", world_size=2), subject.engine, subject.factors, subject.source)
    with pytest.raises(MismatchError, match="another keep") as caught:
        build(subject, tmp_path / "index", keep=0.25)
    assert caught.value.reason == "JOB_MISMATCH"


def test_an_engine_with_other_factors_is_refused(subject: Subject, tmp_path: Path) -> None:
    FakeModel.random(61, seed=5).save(tmp_path / "model")
    fit_fake(tmp_path / "model", data.InMemory(subject.source.items), tmp_path / "factors")
    other = load_engine("fake", EngineConfig(model=str(tmp_path / "model"), factors=tmp_path / "factors"))
    with pytest.raises(MismatchError, match="not those in") as caught:
        build(replace(subject, engine=other), tmp_path / "index")
    assert caught.value.reason == "ENGINE_FACTORS_MISMATCH"


def test_an_empty_corpus_is_refused(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no sequences"):
        build(replace(subject, source=Sharded([], [0])), tmp_path / "index")


def test_a_rank_beyond_the_world_is_refused(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="ranks count from 0"):
        build(subject, tmp_path / "index", rank=2, world_size=2)


@pytest.mark.parametrize(
    "part", ["shard-0.codes.npy", "shard-2.scales.npy", "shard-3.self.npy", "fold-00001.safetensors"]
)
@pytest.mark.parametrize("harm", ["missing", "truncated", "flipped"])
def test_a_harmed_file_is_named(subject: Subject, tmp_path: Path, part: str, harm: str) -> None:
    build(subject, tmp_path / "index")
    path = tmp_path / "index" / part
    content = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(content[:-1])
    else:
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(CorruptArtefactError, match=part):
        Index.open(tmp_path / "index")


def test_shards_that_are_not_opened_need_not_be_there(subject: Subject, tmp_path: Path) -> None:
    build(subject, tmp_path / "index")
    (tmp_path / "index" / "shard-0.codes.npy").unlink()
    assert list(Index.open(tmp_path / "index", shards=["shard-2"]).shards) == ["shard-2"]
    with pytest.raises(NotFoundError, match="its shards are"):
        Index.open(tmp_path / "index", shards=["shard-9"])
