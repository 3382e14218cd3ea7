"""Checkpoints of one training are one model, whose influences are the mean of theirs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import data
import tiny_models
from conformance.characters import write_tokenizer
from whence.errors import InvalidRequestError, MismatchError, NotFoundError, UnimplementedError, WhenceError
from whence_backends.contract import Detail, EngineConfig
from whence_backends.engines import load_engine
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit
from whence_backends.index.plan import make_plan
from whence_backends.models import resolve_model
from whence_backends.models.torch_loading import load_causal_lm

SOURCE = data.InMemory(data.sequences(12))
ITEMS, QUERIES = data.sequences(7), data.sequences(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models of one shape, as training leaves them, and the file that names them."""
    folder = tmp_path_factory.mktemp("training")
    for number in (1, 2, 3):
        model = tiny_models.llama()
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        tiny_models.save(model, folder / f"epoch-{number}")
    name_checkpoints(folder / "model.json", "epoch-1", "epoch-2", "epoch-3")
    return folder


@pytest.fixture(scope="module")
def config(folder: Path) -> EngineConfig:
    model = str(folder / "model.json")
    made = fit(FitConfig(model=model, out=folder / "factors", precision="float64", device="cpu"), SOURCE)
    return EngineConfig(model=model, factors=made.folder, device="cpu", precision="float64")


def name_checkpoints(path: Path, *names: str) -> Path:
    path.write_text(json.dumps({"checkpoints": names}))
    return path


def apart(folder: Path) -> list:
    """The engine of each checkpoint, with factors of its own."""
    engines = []
    for number in (1, 2, 3):
        model, factors = str(folder / f"epoch-{number}"), folder / f"factors-{number}"
        fit(FitConfig(model=model, out=factors, precision="float64", device="cpu"), SOURCE)
        engines.append(
            load_engine("pytorch", EngineConfig(model=model, factors=factors, device="cpu", precision="float64"))
        )
    return engines


@pytest.mark.parametrize("detail", list(Detail))
def test_an_influence_is_the_mean_of_the_checkpoints(folder: Path, config: EngineConfig, detail: Detail) -> None:
    """Broken by: gradients that are not divided by √K; factors of divided ones; a layer of another checkpoint."""
    engine, alone = load_engine("pytorch", config), apart(folder)
    scores = engine.score(engine.precondition(engine.query_gradients(QUERIES), 0.1), ITEMS, detail)
    each = [one.score(one.precondition(one.query_gradients(QUERIES), 0.1), ITEMS, detail) for one in alone]
    if detail is Detail.TOTAL:
        np.testing.assert_allclose(scores, np.mean(each, axis=0), rtol=1e-9, atol=1e-9 * np.abs(scores).max())
    else:  # the layers of all, each its share of the mean
        np.testing.assert_allclose(scores, np.concatenate(each, axis=2) / 3, rtol=1e-9, atol=1e-12)


def test_the_last_checkpoint_says_how_likely_an_output_is(folder: Path, config: EngineConfig) -> None:
    found = load_engine("pytorch", config).query_gradients(QUERIES)
    last = apart(folder)[-1].query_gradients(QUERIES)
    assert [one.log_likelihood for one in found] == [one.log_likelihood for one in last]


def test_sketches_hold_the_mean_self_influence_and_estimate_the_influence(folder: Path, config: EngineConfig) -> None:
    engine, alone = load_engine("pytorch", config), apart(folder)
    Lambdas = [engine._factors[index].Lambda.numpy() for index in range(len(engine.info.layers))]
    plan, _ = make_plan(engine.info.layers, Lambdas, damping_factor=0.1, keep=1.0, width=4096, groups=1, seed=0)
    sketches = engine.sketch(engine.prepare_sketches(plan), ITEMS)
    own = [
        [one.score(one.precondition(one.query_gradients([item]), 0.1), [item])[0, 0] for item in ITEMS] for one in alone
    ]
    np.testing.assert_allclose(sketches.self_influence, np.mean(own, axis=0), rtol=1e-7)
    products = sketches.values @ sketches.values.T
    prepared = engine.precondition(engine.query_gradients(ITEMS), 0.1)
    assert np.corrcoef(products.ravel(), engine.score(prepared, ITEMS).ravel())[0, 1] > 0.9


def test_the_factors_say_what_they_are_of(folder: Path, config: EngineConfig) -> None:
    engine = load_engine("pytorch", config)
    single = load_engine(
        "pytorch", dataclasses.replace(config, model=str(folder / "epoch-3"), factors=apart_factors(folder))
    )
    assert engine.info.model_digest == resolve_model(config.model).digest != single.info.model_digest
    names = [layer.name for layer in single.info.layers]
    assert [layer.name for layer in engine.info.layers] == [f"{name}@{n}" for n in (1, 2, 3) for name in names]
    assert engine.info.parameters == 3 * single.info.parameters
    assert engine.info.self_check.layer.rpartition("@")[2] in {"1", "2", "3"}
    assert sorted(path.name for path in config.factors.iterdir() if path.is_dir()) == []


def apart_factors(folder: Path) -> Path:
    apart(folder)
    return folder / "factors-3"


def test_the_order_is_part_of_the_model(folder: Path, config: EngineConfig) -> None:
    other = name_checkpoints(folder / "other.json", "epoch-3", "epoch-2", "epoch-1")
    with pytest.raises(MismatchError) as caught:
        load_engine("pytorch", dataclasses.replace(config, model=str(other)))
    assert caught.value.reason == "FACTORS_MODEL_MISMATCH"


def test_the_same_fit_again_returns_what_is_there_and_another_is_refused(config: EngineConfig) -> None:
    asked = FitConfig(model=config.model, out=config.factors, precision="float64", device="cpu")
    before = (config.factors / "manifest.json").read_bytes()
    fit(asked, SOURCE)
    assert (config.factors / "manifest.json").read_bytes() == before
    with pytest.raises(MismatchError) as caught:
        fit(dataclasses.replace(asked, seed=5), SOURCE)
    assert caught.value.reason == "FACTORS_EXIST"


def test_a_fit_that_was_stopped_goes_on_with_the_checkpoint_it_was_at(
    folder: Path, config: EngineConfig, tmp_path: Path
) -> None:
    asked = FitConfig(model=config.model, out=tmp_path / "factors", precision="float64", device="cpu")
    seen = []

    def stop(at) -> None:
        seen.append(at.stage)
        if seen.count("eigenbasis") > 10:  # in the second checkpoint
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(asked, SOURCE, stop)
    kept = sorted(path.name for path in (tmp_path / "factors").iterdir())
    assert "checkpoint-001" in kept
    assert "manifest.json" not in kept
    made = fit(asked, SOURCE)
    assert {file.name: file.read_bytes() for file in made.folder.glob("*.safetensors")} == {
        file.name: file.read_bytes() for file in config.factors.glob("*.safetensors")
    }


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        ("{", InvalidRequestError, "INVALID_MODEL_FILE"),
        ("[]", InvalidRequestError, "INVALID_MODEL_FILE"),
        ('{"checkpoints": []}', InvalidRequestError, "INVALID_MODEL_FILE"),
        ('{"checkpoints": ["epoch-1"]}', InvalidRequestError, "INVALID_MODEL_FILE"),
        ('{"checkpoints": ["epoch-1", "epoch-1"]}', InvalidRequestError, "INVALID_MODEL_FILE"),
        ('{"checkpoints": ["epoch-1", 2]}', InvalidRequestError, "INVALID_MODEL_FILE"),
        ('{"checkpoints": ["epoch-1", "./no where"]}', NotFoundError, "MODEL_NOT_FOUND"),
        ('{"checkpoints": ["epoch-1", "model.json"]}', InvalidRequestError, "INVALID_MODEL_FILE"),
    ],
)
def test_a_file_that_names_no_checkpoints_is_refused(
    folder: Path, content: str, error: type[WhenceError], reason: str
) -> None:
    (folder / "wrong.json").write_text(content)
    with pytest.raises(error) as caught:
        resolve_model(str(folder / "wrong.json"))
    assert caught.value.reason == reason


def test_checkpoints_of_two_models_are_refused(folder: Path, tmp_path: Path) -> None:
    tiny_models.save(tiny_models.gpt2(), tmp_path / "gpt2")
    mixed = name_checkpoints(tmp_path / "mixed.json", str(tmp_path / "gpt2"), str(folder / "epoch-1"))
    with pytest.raises(MismatchError) as caught:
        fit(FitConfig(model=str(mixed), out=tmp_path / "factors", device="cpu"), SOURCE)
    assert caught.value.reason == "CHECKPOINTS_MISMATCH"
    for name in ("a", "b"):
        shutil.copytree(folder / "epoch-1", tmp_path / name)
        write_tokenizer(tmp_path / name)
    tokenizer = tmp_path / "b" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"q"', '"Q"'))
    two = name_checkpoints(tmp_path / "two.json", "a", "b")
    with pytest.raises(MismatchError, match="tokenizer"):
        fit(FitConfig(model=str(two), out=tmp_path / "other", device="cpu"), SOURCE)


def test_what_takes_one_model_refuses_several(folder: Path, config: EngineConfig, tmp_path: Path) -> None:
    for name in ("fake", "ort"):
        with pytest.raises(UnimplementedError) as caught:
            load_engine(name, config)
        assert caught.value.reason == "UNSUPPORTED_CHECKPOINTS"
    with pytest.raises(InvalidRequestError, match="name the one that is meant"):
        load_causal_lm(resolve_model(config.model), "float32", "cpu")
    with pytest.raises(WhenceError):
        export(ExportConfig(model=config.model, out=tmp_path / "export"))
    with pytest.raises(UnimplementedError):
        _ = load_engine("pytorch", config).model
