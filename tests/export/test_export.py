"""What `whence export` writes is the model, whole or not at all, and the same bytes again."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir
import pytest
import torch

from conformance.characters import write_tokenizer
from whence.errors import InvalidRequestError, MismatchError, NotFoundError, StorageError
from whence_backends.ekfac.head import Head
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.export import ExportConfig, ExportProgress, export, graph, job
from whence_backends.export.graph import TracedModel, trace_model
from whence_backends.export.verify import verify
from whence_backends.models import Tokenizer, resolve_model
from whence_backends.models.exported import GRAPH, Export
from whence_backends.models.facts import find_tokenizer
from whence_backends.models.torch_loading import load_causal_lm
from whence_backends.models.tracked import track


@pytest.fixture(scope="module")
def model(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with a tokenizer."""
    folder = shutil.copytree(model_folder("llama"), tmp_path_factory.mktemp("model") / "llama")
    write_tokenizer(folder)
    return folder


@dataclass(frozen=True, kw_only=True)
class Made:
    """An export, and the graph that it was written from."""

    export: Export
    traced: TracedModel


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    graphs: list[TracedModel] = []

    def trace(module: TrackedLanguageModel) -> TracedModel:
        graphs.append(trace_model(module))
        return graphs[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "trace_model", trace)
        done = export(ExportConfig(model=str(model), out=tmp_path_factory.mktemp("export") / "export"))
    return Made(export=done, traced=graphs[0])


@pytest.fixture
def exported(made: Made) -> Export:
    return made.export


@pytest.fixture
def traced_before(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the graph from the export that was made, which saves its tracing: what is tried here comes after it."""
    monkeypatch.setattr(job, "trace_model", lambda _model: made.traced)


def test_it_says_how_far_it_is_from_the_model_and_what_made_it(exported: Export) -> None:
    card = exported.card
    assert 0 < card.verification.worst < 1e-3
    assert card.verification.tokens > 100
    assert {"torch", "onnx", "onnxruntime", "transformers"} <= set(card.versions)
    assert (card.precision, card.tracked, card.vocabulary_size) == ("float32", "mlp", 61)


def test_layers_that_read_the_same_tensor_share_an_output(exported: Export) -> None:
    """gate_proj and up_proj of both blocks do, down_proj does not."""
    assert [layer.name.rpartition(".")[2] for layer in exported.card.layers[:3]] == [
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    assert exported.card.inputs == (0, 0, 1, 2, 2, 3)


def test_it_is_a_model_with_the_digest_and_the_tokenizer_of_the_one_it_was_made_from(
    exported: Export, model: Path
) -> None:
    source, original = resolve_model(str(exported.folder)), resolve_model(str(model))
    assert (source.kind, source.digest) == ("export", original.digest)
    assert Tokenizer.load(source).digest == Tokenizer.load(original).digest == exported.card.tokenizer_digest


def test_torch_does_not_load_it(exported: Export) -> None:
    with pytest.raises(InvalidRequestError, match="is an export") as caught:
        load_causal_lm(resolve_model(str(exported.folder)), "float32", "cpu")
    assert caught.value.reason == "MODEL_NOT_LOADABLE"


def test_it_names_no_path_of_the_machine_it_was_made_on(exported: Export, model: Path) -> None:
    data = exported.graph.read_bytes()
    assert b"site-packages" not in data
    assert str(Path(__file__).parents[2]).encode() not in data
    assert str(model).encode() not in data


def test_an_export_that_is_there_is_returned_as_it_is(exported: Export, model: Path) -> None:
    stages = []
    again = export(ExportConfig(model=str(model), out=exported.folder), stages.append)
    assert (again.digest, [at.stage for at in stages]) == (exported.digest, ["load"])


def test_another_export_does_not_take_its_place(exported: Export, model: Path) -> None:
    with pytest.raises(MismatchError, match="choose another folder") as caught:
        export(ExportConfig(model=str(model), out=exported.folder, tracked="all-linear"))
    assert caught.value.reason == "EXPORT_EXISTS"


def test_an_unknown_precision_is_refused_with_the_known(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="float32, float16, float64") as caught:
        export(ExportConfig(model=str(model), out=tmp_path, precision="bfloat16"))
    assert caught.value.reason == "UNKNOWN_PRECISION"


@pytest.mark.usefixtures("traced_before")
def test_a_second_export_into_the_folder_is_refused_while_the_first_works(model: Path, tmp_path: Path) -> None:
    config, refused = ExportConfig(model=str(model), out=tmp_path / "export"), []

    def begin_another(at: ExportProgress) -> None:
        if at.stage == "write":
            with pytest.raises(StorageError, match="another job is writing") as caught:
                export(config)
            refused.append(caught.value.reason)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        export(config, begin_another)
    assert refused == ["FOLDER_IN_USE"]
    assert not list(config.out.iterdir())


@pytest.mark.usefixtures("traced_before")
def test_what_a_killed_export_left_is_replaced_by_the_same_bytes(exported: Export, model: Path, tmp_path: Path) -> None:
    """Files, half of them yet to be moved to their places, and no manifest."""
    out = tmp_path / "export"
    (out / ".staging").mkdir(parents=True)
    shutil.copy(exported.graph, out / GRAPH)
    (out / ".staging" / f"{GRAPH}.data").write_bytes(b"half")
    with pytest.raises(NotFoundError, match="run it again"):
        Export.open(out)
    assert export(ExportConfig(model=str(model), out=out)).digest == exported.digest
    assert not (out / ".staging").exists()


@pytest.mark.exhaustive
def test_killed_and_run_again_it_gives_the_same_bytes(exported: Export, model: Path, tmp_path: Path) -> None:
    """The kill comes while files are written or after; before that there is nothing that could be half."""
    out = tmp_path / "export"
    command = [sys.executable, "-m", "whence", "export", "--model", str(model), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / ".staging").exists() and not (out / GRAPH).exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(NotFoundError, match="run it again"):
        Export.open(out)
    assert export(ExportConfig(model=str(model), out=out)).digest == exported.digest
    assert not (out / ".staging").exists()


@pytest.mark.usefixtures("traced_before")
def test_a_full_disk_is_said_and_leaves_no_half_export(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx_ir, "save", full)
    with pytest.raises(StorageError, match="free some space") as caught:
        export(ExportConfig(model=str(model), out=tmp_path / "export"))
    assert caught.value.reason == "DISK_FULL"
    assert list((tmp_path / "export").iterdir()) == []


def run_export(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "whence", "export", *options]
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=wide)


def test_the_command_shows_the_stages_and_what_came_of_them(exported: Export, model: Path, tmp_path: Path) -> None:
    done = run_export("--model", str(model), "--out", str(exported.folder), "--layers", "mlp")
    assert (done.returncode, "loading the model" in done.stderr) == (0, True)
    for text in (exported.digest, "largest relative error", "6 (mlp)", "64 tokens"):
        assert text in done.stdout


def test_the_command_refuses_layers_beside_factors_and_a_model_that_is_not_there(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "export"))
    assert run_export("--model", "x", "--factors", "y", "--layers", "mlp", *out).returncode == 2
    absent = run_export("--model", "./nowhere", *out)
    assert (absent.returncode, "MODEL_NOT_FOUND" in absent.stderr) == (1, True)


def test_a_graph_that_is_not_the_model_is_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken by: a mask that lets tokens see what comes after them."""
    right = graph._positions
    monkeypatch.setattr(
        graph, "_positions", lambda model, T: {**right(model, T), "attention_mask": torch.zeros(1, 1, T, T)}
    )
    with pytest.raises(MismatchError, match="is not the model") as caught:
        export(ExportConfig(model=str(model), out=tmp_path / "export"))
    assert caught.value.reason == "EXPORT_MODEL_MISMATCH"
    with pytest.raises(NotFoundError):
        Export.open(tmp_path / "export")


@pytest.mark.usefixtures("traced_before")
def test_a_tokenizer_that_does_not_survive_its_saving_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken by: looking after the manifest is written, when the export counts as done."""
    monkeypatch.setattr(Tokenizer, "save", lambda _tokenizer, folder: write_tokenizer(folder, characters="another? ^"))
    with pytest.raises(MismatchError, match="is another") as caught:
        export(ExportConfig(model=str(model), out=tmp_path / "export"))
    assert caught.value.reason == "EXPORT_MODEL_MISMATCH"
    with pytest.raises(NotFoundError):
        Export.open(tmp_path / "export")


def test_a_sliding_window_bounds_the_length(tmp_path: Path) -> None:
    """Up to the window, sliding attention is the causal attention of the graph."""
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=61, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, sliding_window=12,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(tmp_path / "model")
    card = export(ExportConfig(model=str(tmp_path / "model"), out=tmp_path / "export")).card
    assert card.max_tokens == 12
    assert card.verification.worst < 1e-4


def test_a_module_used_twice_has_both_uses(model: Path, tmp_path: Path) -> None:
    """Broken by: the second use's probe in the place of the first's. Here both blocks have one MLP."""
    module = load_causal_lm(resolve_model(str(model)), "float32", "cpu")
    module.model.layers[1].mlp = module.model.layers[0].mlp
    shared = TrackedLanguageModel(module, track(module, "mlp"))
    traced = graph.trace_model(shared)
    onnx_ir.save(traced.onnx, tmp_path / GRAPH)
    assert len(shared.layers) == 3
    assert verify(shared, tmp_path / GRAPH, traced.inputs, "float32", 64).worst < 1e-4


class Whole(Head):
    """A head without weights: what it is given are logits."""

    def __init__(self) -> None:
        super().__init__(None, None)


@pytest.mark.parametrize("head", [Whole(), Head(torch.randn(7, 7, dtype=torch.float64), None)], ids=["whole", "linear"])
def test_the_gradient_that_is_written_down_is_autograds(head: Head) -> None:
    hidden = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    labels, weights = torch.tensor([[0, 6, 3], [2, 2, 5]]), torch.rand(2, 3, dtype=torch.float64)
    want = torch.log_softmax(head.logits(hidden), -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    (want * weights).sum().backward()
    log_p, gradient = graph.pull_back(head, hidden.detach(), labels, weights)
    torch.testing.assert_close(log_p, want.detach())
    torch.testing.assert_close(gradient, hidden.grad)


def test_the_log_probability_of_an_unlikely_word_is_finite() -> None:
    """Broken by: the logarithm of a probability that underflowed."""
    logits = torch.tensor([[[0.0, 300.0]]])
    log_p, _ = graph.pull_back(Whole(), logits, torch.tensor([[0]]), torch.ones(1, 1))
    assert float(log_p) == -300


def test_a_model_that_has_no_graph_is_refused_with_the_cause(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("cannot record that\nand a long story")

    monkeypatch.setattr(graph, "_record", broken)
    with pytest.raises(InvalidRequestError, match="cannot record that") as caught:
        export(ExportConfig(model=str(model), out=tmp_path / "export"))
    assert caught.value.reason == "MODEL_NOT_EXPORTABLE"
    assert not (tmp_path / "export").exists()


def test_a_model_without_a_tokenizer_can_be_exported(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    def without(_source: object) -> None:
        raise NotFoundError("no tokenizer", reason="TOKENIZER_NOT_FOUND")

    monkeypatch.setattr(Tokenizer, "load", without)
    assert find_tokenizer(resolve_model(str(model))) is None
