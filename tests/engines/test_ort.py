"""What the engine ort takes and refuses. Its mathematics are held to the laws in tests/conformance."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import data
from whence.errors import (
    CorruptArtefactError,
    InvalidRequestError,
    MismatchError,
    UnimplementedError,
    WhenceError,
)
from whence_backends.contract import Detail, Engine, EngineConfig, TokenSequence
from whence_backends.engines import load_engine
from whence_backends.engines.ort import options as ort_options
from whence_backends.engines.ort.options import CPU, CUDA, read_options
from whence_backends.engines.ort.sessions import SessionOpener
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit
from whence_backends.store import ArtefactWriter
from whence_backends.store.artefact import MANIFEST

ITEMS = data.sequences(16)
LONG = data.sequence(60, 99)  # longer than every layer is wide


@pytest.fixture(scope="module")
def pytorch_config(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    folder = tmp_path_factory.mktemp("factors")
    model = str(model_folder("llama"))
    fit(
        FitConfig(model=model, out=folder / "factors", device="cpu", labels="empirical", precision="float32"),
        data.InMemory(ITEMS),
    )
    return EngineConfig(model=model, factors=folder / "factors", device="cpu", threads=1)


@pytest.fixture(scope="module")
def config(pytorch_config: EngineConfig, tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    out = tmp_path_factory.mktemp("export") / "export"
    export(ExportConfig(model=pytorch_config.model, out=out))
    return dataclasses.replace(pytorch_config, model=str(out))


def influences(engine: Engine, queries: list[TokenSequence], detail: Detail = Detail.TOTAL) -> np.ndarray:
    return engine.score(engine.precondition(engine.query_gradients(queries), 0.1), ITEMS, detail)


def with_options(config: EngineConfig, **options: str) -> EngineConfig:
    return dataclasses.replace(config, options=options)


def refused(config: EngineConfig, kind: type[WhenceError]) -> WhenceError:
    with pytest.raises(kind) as caught:
        load_engine("ort", config)
    return caught.value


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("query", [ITEMS[0], LONG], ids=["short", "long"])
def test_what_it_stores_of_a_query_pytorch_would_store_and_each_reads_the_others(
    config: EngineConfig, pytorch_config: EngineConfig, query: TokenSequence, rank: int | None
) -> None:
    """Broken by: left and right exchanged, an identity on the wrong side, singular vectors of one of them."""
    ort, pytorch = (
        load_engine(name, dataclasses.replace(one, query_rank=rank))
        for name, one in (("ort", config), ("pytorch", pytorch_config))
    )
    [ours], [theirs] = ort.query_gradients([query]), pytorch.query_gradients([query])
    assert ours.truncation_error == pytest.approx(theirs.truncation_error, rel=1e-3)
    assert (ours.truncation_error > 0) == (rank is not None)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert (a.left.shape, a.right.shape, a.left.dtype) == (b.left.shape, b.right.shape, b.left.dtype)
    scores = [engine.score(engine.precondition([g], 0.1), ITEMS) for engine in (ort, pytorch) for g in (ours, theirs)]
    for other in scores[1:]:
        assert np.abs(other - scores[0]).max() <= 1e-4 * np.abs(scores[0]).max()


@pytest.mark.parametrize("detail", Detail)
def test_a_batch_that_is_cut_to_its_memory_scores_the_same(config: EngineConfig, detail: Detail) -> None:
    """Broken by: parts put back in another order, padding of one part taken for another's."""
    whole, cut = (load_engine("ort", with_options(config, **one)) for one in ({}, {"trace_memory_bytes": "40000"}))
    queries = [ITEMS[1], LONG]
    want = influences(whole, queries, detail)
    assert np.abs(influences(cut, queries, detail) - want).max() <= 1e-4 * np.abs(want).max()


def test_float16_is_near_float32_and_has_gradients_of_its_own_in_the_cache(
    config: EngineConfig, pytorch_config: EngineConfig, tmp_path: Path
) -> None:
    """On a CPU the runtime computes parts of it in float32; what is stored between is float16."""
    out = tmp_path / "export"
    card = export(ExportConfig(model=pytorch_config.model, out=out, precision="float16")).card
    assert 1e-4 < card.verification.worst < 0.1
    half = load_engine("ort", dataclasses.replace(config, model=str(out), precision="float16"))
    assert half.info.precision == "float16"
    assert half.query_gradients([LONG])[0].layers[0].left.dtype == np.float32
    ours, theirs = (influences(engine, [LONG])[0] for engine in (half, load_engine("ort", config)))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99


def test_it_takes_no_more_threads_than_it_may(config: EngineConfig) -> None:
    opener = SessionOpener(read_options(dataclasses.replace(config, threads=1), [CPU]))
    before = len(list(Path("/proc/self/task").iterdir()))
    session = opener.open(Path(config.model) / "model.onnx")
    assert len(list(Path("/proc/self/task").iterdir())) == before
    assert "log_p" in session.output_names


def test_it_says_what_it_is(config: EngineConfig) -> None:
    engine = load_engine("ort", config)
    assert (engine.info.engine, engine.info.device, engine.info.precision) == ("ort", "cpu", "float32")
    assert engine.info.max_tokens == 64
    assert engine.device_memory_bytes() > sum(4 * layer.d_in * layer.d_out for layer in engine.info.layers)
    engine.close()


def test_a_model_that_was_not_exported_is_refused_with_the_command(pytorch_config: EngineConfig) -> None:
    error = refused(pytorch_config, InvalidRequestError)
    assert error.reason == "MODEL_NOT_EXPORTED"
    assert f"whence export --model {pytorch_config.model} --factors {pytorch_config.factors}" in error.message


def test_an_export_of_another_precision_is_refused(config: EngineConfig) -> None:
    error = refused(dataclasses.replace(config, precision="bfloat16"), MismatchError)
    assert error.reason == "EXPORT_PRECISION_MISMATCH"
    assert "computes in float32, not in bfloat16" in error.message


def test_an_export_of_other_layers_is_refused_with_the_first_that_differs(config: EngineConfig, tmp_path: Path) -> None:
    export_folder = alter(Path(config.model), tmp_path / "export", lambda card: card["layers"].pop(0))
    error = refused(dataclasses.replace(config, model=str(export_folder)), MismatchError)
    assert error.reason == "FACTORS_LAYERS_MISMATCH"
    assert "layers.0.mlp.up_proj" in error.message
    assert "layers.0.mlp.gate_proj" in error.message


def test_factors_of_another_model_are_refused(config: EngineConfig, tmp_path: Path) -> None:
    other = alter(Path(config.model), tmp_path / "export", lambda card: card.update(model_digest="blake3:other"))
    assert refused(dataclasses.replace(config, model=str(other)), MismatchError).reason == "FACTORS_MODEL_MISMATCH"


def alter(folder: Path, copy: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy an export with other properties in a valid manifest."""
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / MANIFEST).read_text())
    change(manifest["properties"])
    writer = ArtefactWriter(copy, manifest["format"])
    writer.finish([writer.record(name) for name in manifest["files"]], manifest["properties"])
    return copy


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [missing, truncated, flipped])
@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_a_damaged_file_is_named(
    config: EngineConfig, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    copy = shutil.copytree(config.model, tmp_path / "export")
    damage(copy / name)
    error = refused(dataclasses.replace(config, model=str(copy)), CorruptArtefactError)
    assert str(copy / name) in error.message


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"provider": "x"}, "no option 'provider'; expected some of: providers .*fallback"),
        ({"fallback": "yes"}, "expected true or false"),
        ({"trace_memory_bytes": "1G"}, "expected a positive number of bytes"),
        ({"device_memory_bytes": "0"}, "expected a positive number of bytes"),
    ],
)
def test_a_bad_option_is_refused(config: EngineConfig, options: dict[str, str], what: str) -> None:
    with pytest.raises(InvalidRequestError, match=what) as caught:
        load_engine("ort", with_options(config, **options))
    assert caught.value.reason == "INVALID_ENGINE_OPTION"


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "mps"])
def test_an_unknown_device_is_refused(config: EngineConfig, device: str) -> None:
    error = refused(dataclasses.replace(config, device=device), InvalidRequestError)
    assert (error.reason, device in error.message) == ("UNKNOWN_DEVICE", True)


def test_a_provider_that_this_build_does_not_have_is_refused_with_those_it_has(config: EngineConfig) -> None:
    error = refused(with_options(config, providers=f"OpenVINO,{CPU}"), InvalidRequestError)
    assert error.reason == "UNKNOWN_PROVIDER"
    assert f"has no OpenVINO; it has {', '.join(onnxruntime.get_available_providers())}" in error.message


@pytest.mark.parametrize(
    ("device", "gpu", "want", "memory"),
    [
        ("auto", True, CUDA, "cuda:0"),
        ("auto", False, CPU, "cpu"),
        ("cuda:3", False, CUDA, "cuda:3"),
        ("cpu", True, CPU, "cpu"),
    ],
)
def test_auto_is_cuda_where_there_is_a_gpu(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch, device: str, gpu: bool, want: str, memory: str
) -> None:
    monkeypatch.setattr(ort_options, "_NVIDIA_DRIVER", Path("/" if gpu else "/nowhere"))
    found = read_options(dataclasses.replace(config, device=device), [CUDA, CPU]).placement
    assert (found.providers, str(found)) == ((want,), memory)


# A build without CUDA that is told it had it does what a build with CUDA does where CUDA does not load: it warns and
# gives a session on the CPU.
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
def test_a_provider_that_does_not_load_is_an_error_unless_falling_back_was_asked_for(config: EngineConfig) -> None:
    asked = dataclasses.replace(config, device="cuda")
    with pytest.raises(InvalidRequestError, match="does not load here") as caught:
        SessionOpener(read_options(asked, [CUDA, CPU])).open(Path(config.model) / "model.onnx")
    assert (caught.value.reason, caught.value.details["provider"]) == ("PROVIDER_FAILED", CUDA)
    opener = SessionOpener(read_options(with_options(asked, fallback="true"), [CUDA, CPU]))
    opener.open(Path(config.model) / "model.onnx")
    assert (opener.placement.providers, str(opener.placement)) == ((CPU,), "cpu")


@pytest.mark.parametrize(
    ("opset", "element", "operator", "why"),
    [
        (99, TensorProto.FLOAT, "Relu", "FAIL : ONNX Runtime only .* Opset 99 is under development"),
        (20, TensorProto.BFLOAT16, "Relu", "NOT_IMPLEMENTED : Could not find an implementation for Relu"),
        (20, TensorProto.FLOAT, "Nonsense", "No Op registered for Nonsense"),
    ],
    ids=["opset", "precision", "operator"],
)
def test_a_graph_that_the_runtime_cannot_run_is_refused_with_the_cause(
    config: EngineConfig, opset: int, element: int, operator: str, why: str
) -> None:
    x, y = (helper.make_tensor_value_info(name, element, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    with pytest.raises(UnimplementedError, match=why) as caught:
        SessionOpener(read_options(config, [CPU])).open(model.SerializeToString())
    assert caught.value.reason == "UNSUPPORTED_GRAPH"


def test_garbage_in_place_of_a_graph_is_refused(config: EngineConfig) -> None:
    with pytest.raises(UnimplementedError, match="cannot run") as caught:
        SessionOpener(read_options(config, [CPU])).open(b"no graph")
    assert caught.value.reason == "UNSUPPORTED_GRAPH"


def has_cuda() -> bool:
    return CUDA in onnxruntime.get_available_providers()


@pytest.mark.gpu
@pytest.mark.skipif(not has_cuda(), reason="this onnxruntime has no CUDA")
def test_influences_on_cuda_are_those_of_the_cpu(config: EngineConfig) -> None:
    here, there = (load_engine("ort", dataclasses.replace(config, device=device)) for device in ("cpu", "cuda"))
    for detail in Detail:
        want = influences(here, [ITEMS[0], LONG], detail)
        assert np.abs(influences(there, [ITEMS[0], LONG], detail) - want).max() <= 1e-3 * np.abs(want).max()
