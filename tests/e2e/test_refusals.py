"""What does not belong together is not served: the worker ends with exit code 1 and says what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.harness import Artefacts, make_artefacts, make_corpus, whence


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """Artefacts of a model with other weights, whose tokenizer has a chat template."""
    return make_artefacts(tmp_path_factory.mktemp("other"), seed=1, chat_template="{{ messages }}")


def damaged(artefacts: Artefacts, part: str, damage: Callable[[Path], object], root: Path) -> Artefacts:
    """Copy one of the artefacts and damage the copy."""
    copy = Path(shutil.copytree(getattr(artefacts, part), root / part))
    damage(copy)
    return Artefacts(**{**vars(artefacts), part: copy})


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


CASES = {  # name: reason, what the message says
    "factors of another model": ("FACTORS_MODEL_MISMATCH", "were fitted on a model with digest"),
    "a corpus of another tokenizer": ("CORPUS_TOKENIZER_MISMATCH", "was tokenized with another tokenizer"),
    "an altered factor file": ("CORRUPT_ARTEFACT", "lambda-00001.safetensors was altered"),
    "a truncated shard": ("CORRUPT_ARTEFACT", "its manifest says"),
    "a fit that was interrupted": ("ARTEFACT_NOT_FOUND", "its job was interrupted; run it again"),
    "an unknown engine": ("UNKNOWN_ENGINE", "expected one of: bigram, fake, ort, pytorch, toy"),
}


@pytest.fixture(scope="module")
def outcomes(artefacts: Artefacts, other: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """How each case ended; they run side by side."""

    def broken(part: str, damage: Callable[[Path], object]) -> list[str]:
        return damaged(artefacts, part, damage, tmp_path_factory.mktemp("damaged")).options()

    retokenized = make_corpus(tmp_path_factory.mktemp("retokenized"), other.model)
    good = artefacts.options()
    options = {
        "factors of another model": [*good, "--factors", str(other.factors)],
        "a corpus of another tokenizer": [*good, "--corpus", str(retokenized)],
        "an altered factor file": broken("factors", lambda path: flip_a_byte(path / "lambda-00001.safetensors")),
        "a truncated shard": broken("corpus", lambda path: cut_off(path / "shard-00001.arrow")),
        "a fit that was interrupted": broken("factors", lambda path: (path / "manifest.json").unlink()),
        "an unknown engine": [*good, "--engine", "abacus"],
        }  # fmt: skip
    assert options.keys() == CASES.keys()
    with ThreadPoolExecutor(3) as pool:
        return dict(zip(options, pool.map(refused, options.values()), strict=True))


def refused(options: list[str]) -> object:
    engine = [] if "--engine" in options else ["--engine", "fake"]
    return whence("worker", *options, *engine, "--address", "127.0.0.1:0", COLUMNS="1000")


@pytest.mark.parametrize("case", CASES)
def test_a_worker_refuses(outcomes: dict, case: str):
    reason, says = CASES[case]
    done = outcomes[case]
    assert done.returncode == 1
    assert f"\n{reason}" in done.stderr
    assert says in done.stderr.partition("Error: ")[2]
    assert "Traceback" not in done.stderr
    assert '"serving"' not in done.stderr
