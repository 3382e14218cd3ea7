"""The fit as a job: killed, starved of disk, misused."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import data
from whence.errors import CorruptArtefactError, InvalidRequestError, MismatchError, NotFoundError, StorageError
from whence_backends.ekfac.factors import Factors, lambda_file
from whence_backends.fit import FitConfig, FitProgress, fit
from whence_backends.store import digest_file

Folder = Callable[[str], Path]

# Fits, and kills itself after so many seconds of fitting (0: never) or in the middle of a stage, whose name is given
# in their place. Prints how long the fit took.
SCRIPT = """
import os, signal, sys, threading, time
tests, model, out, when = sys.argv[1:]
sys.path.insert(0, tests)
import data
from pathlib import Path
from whence_backends.fit import FitConfig, fit
config = FitConfig(model=model, out=Path(out), device="cpu", batch_tokens=32, checkpoint_every_s=0.0)
source = data.InMemory(data.sequences(64))
stage = when if when.isalpha() else ""
def kill(progress):
    if progress.stage == stage and progress.done >= progress.total // 2:
        os.kill(os.getpid(), signal.SIGKILL)
if not stage and float(when):
    threading.Timer(float(when), os.kill, (os.getpid(), signal.SIGKILL)).start()
began = time.monotonic()
fit(config, source, kill)
print(time.monotonic() - began, flush=True)
os._exit(0)
"""


def config(model: Path, out: Path, **options: object) -> FitConfig:
    return FitConfig(model=str(model), out=out, **{"device": "cpu", "batch_tokens": 32, **options})


def run(model: Path, out: Path, when: float | str = 0.0) -> float | None:
    """Fit in a process of its own; return the seconds it took, or ``None`` where it was killed."""
    arguments = [str(Path(__file__).parents[1]), str(model), str(out), str(when)]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return float(done.stdout) if done.returncode == 0 else None


def contents(folder: Path) -> dict[str, str]:
    """Every file's digest."""
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.exhaustive
def test_a_fit_killed_again_and_again_ends_with_the_same_bytes(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: saving the sums without the number of batches in them; drawing labels from a running generator."""
    model, choose = model_folder("llama"), random.Random(0)
    duration_s = run(model, tmp_path / "whole")
    assert duration_s is not None
    kills = sum(run(model, tmp_path / "killed", choose.uniform(0.05, 0.6) * duration_s) is None for _ in range(6))
    run(model, tmp_path / "killed")
    assert kills >= 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_fit_killed_once_ends_with_the_same_bytes(model_folder: Folder, tmp_path: Path) -> None:
    """Killed in the middle of its last stage, in which it had saved its sums after each batch."""
    source, model = data.InMemory(data.sequences(64)), model_folder("llama")
    settings = {"checkpoint_every_s": 0.0}
    fit(config(model, tmp_path / "whole", **settings), source)
    assert run(model, tmp_path / "killed", "lambda") is None
    fit(config(model, tmp_path / "killed", **settings), source)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("stop_at", ["covariance", "eigenbasis", "lambda"])
def test_a_fit_stopped_in_any_stage_goes_on_and_ends_with_the_same_bytes(
    stop_at: str, model_folder: Folder, tmp_path: Path
) -> None:
    """Broken by: starting a stage's sums from zero although its batches are counted as done."""
    source, model = data.InMemory(data.sequences(24)), model_folder("llama")
    fit(config(model, tmp_path / "whole", checkpoint_every_s=0.0), source)

    def interrupt(progress: FitProgress) -> None:
        if progress.stage == stop_at and progress.done >= progress.total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config(model, tmp_path / "stopped", checkpoint_every_s=0.0), source, interrupt)
    with pytest.raises(NotFoundError, match="interrupted"):
        Factors.open(tmp_path / "stopped")
    fit(config(model, tmp_path / "stopped", checkpoint_every_s=0.0), source)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_full_disk_is_a_clear_error_and_the_fit_goes_on_once_there_is_room(
    model_folder: Folder, tiny_disk: Path, tmp_path: Path
) -> None:
    source, model = data.InMemory(data.sequences(24)), model_folder("llama")
    with pytest.raises(StorageError, match="free some space and run the same command again") as caught:
        fit(config(model, tiny_disk / "factors"), source)
    assert caught.value.reason == "DISK_FULL"
    assert not list(tiny_disk.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=16m", str(tiny_disk)], check=True)
    fit(config(model, tiny_disk / "factors"), source)
    fit(config(model, tmp_path / "whole"), source)
    assert contents(tiny_disk / "factors") == contents(tmp_path / "whole")


def test_a_folder_that_cannot_be_written_is_a_clear_error(model_folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write") as caught:
        fit(config(model_folder("llama"), tmp_path / "file" / "factors"), data.InMemory(data.sequences(4)))
    assert caught.value.reason == "WRITE_FAILED"


def test_a_second_fit_in_the_folder_is_refused_while_the_first_works(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: a fit that does not hold its folder."""
    source, settings = data.InMemory(data.sequences(8)), config(model_folder("llama"), tmp_path / "out")
    refused = []

    def begin_another(_: FitProgress) -> None:
        with pytest.raises(StorageError, match="another job is writing") as caught:
            fit(settings, source)
        refused.append(caught.value.reason)

    whole = fit(settings, source, begin_another)
    assert set(refused) == {"FOLDER_IN_USE"}
    assert fit(settings, source).digest == whole.digest


def test_the_same_fit_again_returns_what_is_there(model_folder: Folder, tmp_path: Path) -> None:
    source = data.InMemory(data.sequences(12))
    first = fit(config(model_folder("llama"), tmp_path / "factors"), source)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "factors").iterdir()}
    assert fit(config(model_folder("llama"), tmp_path / "factors"), source).digest == first.digest
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "factors").iterdir()} == before


def test_the_same_model_under_another_spelling_of_its_path_is_the_same_fit(
    model_folder: Folder, tmp_path: Path
) -> None:
    """Broken by: comparing what the commands called the model, finished or not."""
    source, model = data.InMemory(data.sequences(12)), model_folder("llama")
    respelled = model / ".." / model.name

    def interrupt(progress: FitProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config(model, tmp_path / "factors"), source, interrupt)
    first = fit(config(respelled, tmp_path / "factors"), source)
    assert fit(config(model, tmp_path / "factors"), source).digest == first.digest


def test_another_fit_in_the_same_folder_is_refused(model_folder: Folder, tmp_path: Path) -> None:
    source = data.InMemory(data.sequences(12))
    fit(config(model_folder("llama"), tmp_path / "factors"), source)
    with pytest.raises(MismatchError, match="with another seed; choose another folder") as caught:
        fit(config(model_folder("llama"), tmp_path / "factors", seed=1), source)
    assert caught.value.reason == "FACTORS_EXIST"


def test_going_on_with_another_configuration_is_refused(model_folder: Folder, tmp_path: Path) -> None:
    source = data.InMemory(data.sequences(12))

    def interrupt(progress: FitProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config(model_folder("llama"), tmp_path / "factors"), source, interrupt)
    with pytest.raises(MismatchError, match="unfinished job with another seed") as caught:
        fit(config(model_folder("llama"), tmp_path / "factors", seed=1), source)
    assert caught.value.reason == "JOB_MISMATCH"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"labels": "imagined"}, "UNKNOWN_LABELS"),
        ({"precision": "float8"}, "UNKNOWN_PRECISION"),
        ({"tracked": "no_such_layer"}, "LAYERS_NOT_FOUND"),
        ({"tracked": "("}, "INVALID_LAYER_PATTERN"),
        ({"device": "abacus"}, "UNKNOWN_DEVICE"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    options: dict[str, str], reason: str, model_folder: Folder, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        fit(config(model_folder("llama"), tmp_path / "factors", **options), data.InMemory(data.sequences(4)))
    assert caught.value.reason == reason


def test_an_empty_corpus_is_refused(model_folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no sequences"):
        fit(config(model_folder("llama"), tmp_path / "factors"), data.InMemory([]))


def test_tokens_that_were_trained_on_are_counted_and_no_others(model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: counting prompts, which are not trained on."""
    source = data.InMemory([data.sequence(9, 0), data.sequence(9, 1, masked=5)])
    assert fit(config(model_folder("llama"), tmp_path / "factors"), source).card.fitted_tokens == 8 + 3


@pytest.mark.parametrize("draw", [{}, {"max_sequences": 1, "seed": 0}])
def test_a_corpus_or_a_sample_without_a_token_that_was_trained_on_is_refused(
    draw: dict[str, int], model_folder: Folder, tmp_path: Path
) -> None:
    items = [data.sequence(1, 0), data.sequence(9, 1, masked=8)] + [data.sequence(9, 2)] * bool(draw)
    with pytest.raises(InvalidRequestError, match=r"trained on") as caught:
        fit(config(model_folder("llama"), tmp_path / "factors", **draw), data.InMemory(items))
    assert caught.value.reason == "MISSING_TRAINED_TOKENS"


def test_the_size_of_the_training_set_is_that_of_the_corpus_or_what_was_given(
    model_folder: Folder, tmp_path: Path
) -> None:
    source = data.InMemory(data.sequences(4))
    card = fit(config(model_folder("llama"), tmp_path / "corpus"), source).card
    assert (card.training_set_size, card.training_set_source) == (4, "corpus")
    card = fit(config(model_folder("llama"), tmp_path / "given", training_sequences=1000), source).card
    assert (card.training_set_size, card.training_set_source) == (1000, "fit")
    with pytest.raises(MismatchError, match="or give the worker --training-sequences"):
        fit(config(model_folder("llama"), tmp_path / "given"), source)
    with pytest.raises(InvalidRequestError, match="at least 1"):
        fit(config(model_folder("llama"), tmp_path / "none", training_sequences=0), source)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_factor_file_is_refused(damage: str, model_folder: Folder, tmp_path: Path) -> None:
    """Broken by: trusting a file for its name."""
    fit(config(model_folder("llama"), tmp_path / "factors"), data.InMemory(data.sequences(12)))
    path = tmp_path / "factors" / lambda_file(1)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if damage == "flip" else bytes(content[:-8]))
    with pytest.raises(CorruptArtefactError, match=lambda_file(1)):
        Factors.open(tmp_path / "factors")


def test_bfloat16_factors_are_close_to_float32s(model_folder: Folder, tmp_path: Path) -> None:
    source = data.InMemory([data.sequence(16, seed) for seed in range(64)])
    model = model_folder("gpt2")
    wide = fit(config(model, tmp_path / "float32", labels="empirical"), source)
    narrow = fit(config(model, tmp_path / "bfloat16", labels="empirical", precision="bfloat16"), source)
    for index in range(len(wide.card.layers)):
        ratio = narrow.layer(index).Lambda.sum() / wide.layer(index).Lambda.sum()
        assert 0.95 < ratio < 1.05
        assert narrow.layer(index).Q_A.dtype == "float32"


def test_progress_counts_every_token_of_both_passes(model_folder: Folder, tmp_path: Path) -> None:
    seen: list[FitProgress] = []
    items = data.sequences(12)
    fit(config(model_folder("llama"), tmp_path / "factors"), data.InMemory(items), seen.append)
    tokens = sum(len(item.token_ids) for item in items)
    for stage in ("covariance", "lambda"):
        done = [progress.done for progress in seen if progress.stage == stage]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, tokens)
