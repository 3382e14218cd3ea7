"""The self-check sees what would make influences wrong without a word, in models that it has never heard of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import data
import tiny_models
from whence.errors import InvalidRequestError
from whence_backends.batching import probe_sequences
from whence_backends.contract import EngineConfig
from whence_backends.ekfac.head import Head
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.self_check import BOUNDS, check_model
from whence_backends.ekfac.split import Body
from whence_backends.engines import load_engine
from whence_backends.engines.ort.export_check import check_export
from whence_backends.export import ExportConfig, export
from whence_backends.fit import FitConfig, fit
from whence_backends.models.exported import Export
from whence_backends.models.tracked import track

PROBES = probe_sequences(tiny_models.VOCABULARY, 64)


def checked(model: Any, layers: str = "mlp", dtype: torch.dtype = torch.float64) -> TrackedLanguageModel:
    tracked = TrackedLanguageModel(model.to(dtype), track(model, layers))
    check_model(tracked, PROBES)
    return tracked


def refused(model: Any, reason: str, layers: str = "mlp", dtype: torch.dtype = torch.float64) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        checked(model, layers, dtype)
    assert caught.value.reason == reason
    return caught.value.message


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2, lambda: tiny_models.llama(tie=True, bias=True)])
def test_a_sound_model_passes_in_every_precision(make: Callable[[], Any], dtype: torch.dtype) -> None:
    model = make().to(dtype)
    check = check_model(TrackedLanguageModel(model, track(model, "all-linear")), PROBES)
    assert check.gradient_error < BOUNDS[dtype].gradient / 2
    assert check.idle == ()


def test_it_leaves_the_model_as_it_was() -> None:
    model = tiny_models.gpt2().double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tracked = checked(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert not any(m._forward_hooks for m in tracked.model.modules())


class Bypassing(nn.Module):
    """An MLP that multiplies with one layer's weight itself, as fused kernels do."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj, self.act_fn = (
            mlp.gate_proj,
            mlp.up_proj,
            mlp.down_proj,
            mlp.act_fn,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(x @ self.gate_proj.weight.T) * self.up_proj(x))


def test_a_bypassed_layer_is_named_and_can_be_left_out() -> None:
    """Broken by: taking a layer that is never called for one without gradients."""
    model = tiny_models.llama()
    model.model.layers[1].mlp = Bypassing(model.model.layers[1].mlp)
    message = refused(model, "LAYER_GRADIENT_MISMATCH")
    assert "model.layers.1.mlp.gate_proj" in message
    assert "without calling the layer" in message
    checked(model, message.rpartition("--layers '")[2].rstrip("'"))


class Twice(Bypassing):
    """An MLP that calls its gate and also uses its weight in another way."""

    def forward(self, x: Tensor) -> Tensor:
        return (
            self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x)) + (x @ self.gate_proj.weight.T)[..., :16]
        )


def test_a_weight_that_takes_part_elsewhere_is_named() -> None:
    """Broken by: comparing layers that were called with nothing."""
    model = tiny_models.llama()
    model.model.layers[0].mlp = Twice(model.model.layers[0].mlp)
    message = refused(model, "LAYER_GRADIENT_MISMATCH")
    assert "the gradients of model.layers.0.mlp.gate_proj that" in message


class InPlace(Bypassing):
    """An MLP that changes its layers' outputs in place."""

    def forward(self, x: Tensor) -> Tensor:
        up = self.up_proj(x)
        up *= 2
        gate = self.gate_proj(x)
        return self.down_proj(self.act_fn(gate).mul_(up)).mul_(0.5)


def test_a_layer_whose_output_is_changed_in_place_has_the_gradient_of_what_it_gave() -> None:
    """Broken by: making the first layers' outputs leaves, which autograd lets nobody change."""
    model = tiny_models.llama()
    for layer in model.model.layers:
        layer.mlp = InPlace(layer.mlp)
    model = model.double()
    tracked = TrackedLanguageModel(model, track(model, "mlp"))
    assert check_model(tracked, PROBES).gradient_error < 1e-12


def test_layers_that_share_a_weight_are_named() -> None:
    model = tiny_models.llama()
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    message = refused(model, "LAYER_GRADIENT_MISMATCH")
    assert "model.layers.0.mlp.up_proj, model.layers.1.mlp.up_proj" in message
    assert "shares its weight" in message


@pytest.mark.parametrize(
    "after",
    [lambda x: 30 * torch.tanh(x / 30), lambda x: x * 1.03, lambda x: x.clamp(-3, 3)],
    ids=["soft-cap", "scale", "clamp"],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_head_that_is_more_than_taken_for_is_seen(after: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    """Broken by: comparing with gradients of the same cut model instead of the whole one."""
    model = with_head(tiny_models.llama(), after).to(dtype)
    tracked = TrackedLanguageModel(model, track(model, "mlp"))
    assert tracked.head.weight is None  # the cut itself has seen it already
    tracked.body, tracked.head = Body(model.model, whole=False), Head(model.lm_head.weight, None)
    with pytest.raises(InvalidRequestError, match="what follows the last layer") as caught:
        check_model(tracked, PROBES)
    assert caught.value.reason == "LAYER_GRADIENT_MISMATCH"


@pytest.mark.parametrize(
    "after",
    [
        lambda x: 30 * torch.tanh(x / 30),
        lambda x: 5000 * torch.tanh(x / 5000),
        lambda x: x / 8,
        lambda x: x * 1.001,
        lambda x: x + torch.where(torch.arange(x.shape[-1]) == 5, -torch.inf, 0.0),
    ],
    ids=["cap-30", "cap-5000", "divided", "scaled", "a-token-forbidden"],
)
@pytest.mark.parametrize("zeros", [False, True], ids=["embeddings", "zero-embeddings"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_model_is_cut_only_where_its_head_is_linear(
    after: Callable[[Tensor], Tensor], zeros: bool, dtype: torch.dtype
) -> None:
    """Whatever the hidden states of a few tokens are. Broken by: trying the head on hidden states of one size."""
    model = with_head(tiny_models.llama(), after).to(dtype)
    if zeros:
        with torch.no_grad():
            model.get_input_embeddings().weight.zero_()
    assert TrackedLanguageModel(model, track(model, "mlp")).head.weight is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [tiny_models.llama, tiny_models.gpt2], ids=["llama", "gpt2"])
def test_a_linear_head_is_cut_off_in_every_precision(make: Callable[[], Any], dtype: torch.dtype) -> None:
    """Broken by: a bound that rounding passes, which would make every model slow."""
    model = make().to(dtype)
    assert TrackedLanguageModel(model, track(model, "mlp")).head.weight is not None


def test_a_model_whose_outputs_depend_on_its_batch_is_refused() -> None:
    model = tiny_models.llama()
    model.model.norm.register_forward_hook(lambda _m, _i, out: out * (1 + 0.01 * out.shape[1]))
    assert "beside it" in refused(model, "MODEL_NOT_BATCHABLE")


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    model = tiny_models.llama()
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = torch.nan
    assert "float32" in refused(model, "NON_FINITE_MODEL", dtype=torch.float32)


def test_a_layer_that_never_runs_is_idle_and_no_error() -> None:
    """Such as a tower for images. Broken by: dividing its error by a norm of 0."""
    model = tiny_models.llama()
    model.tower = nn.Linear(4, 5)
    tracked = TrackedLanguageModel(model.double(), track(model, "mlp|tower"))
    assert check_model(tracked, PROBES).idle == ("tower",)
    alone = TrackedLanguageModel(model, track(model, "^tower$"))
    assert check_model(alone, PROBES).gradient_error == 0


def test_a_dead_layer_has_no_error() -> None:
    """One that is multiplied by 0 has no gradient, by either way of computing it."""
    model = tiny_models.llama()
    model.model.layers[1].mlp.down_proj.weight.data.zero_()
    check = check_model(TrackedLanguageModel(model.double(), track(model, "mlp")), PROBES)
    assert check.gradient_error < 1e-12


def test_sequences_are_no_longer_than_the_model_takes() -> None:
    model = tiny_models.llama().double()
    assert check_model(TrackedLanguageModel(model, track(model, "mlp")), probe_sequences(61, 3)).gradient_error < 1e-12


def with_head(model: Any, after: Callable[[Tensor], Tensor]) -> Any:
    """Have the model do something to its logits."""

    def change(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        output.logits = after(output.logits)
        return output

    model.register_forward_hook(change)
    return model


@pytest.fixture
def looks_ahead(tmp_path: Path) -> Path:
    """A saved model that sees later tokens."""
    model = tiny_models.llama()
    model.config.is_causal = False
    return tiny_models.save(model, tmp_path / "model")


def test_no_factors_are_fitted_of_an_unsound_model(looks_ahead: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="later tokens"):
        fit(FitConfig(model=str(looks_ahead), out=tmp_path / "factors", device="cpu"), data.InMemory(data.sequences(4)))
    assert not list((tmp_path / "factors").glob("*.safetensors"))


def test_no_unsound_model_is_exported(looks_ahead: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="later tokens"):
        export(ExportConfig(model=str(looks_ahead), out=tmp_path / "export"))
    assert not (tmp_path / "export").exists()


def test_no_engine_loads_an_unsound_model(looks_ahead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whence_backends.fit.job.check_model", lambda *_: None)  # as an earlier release fitted it
    fit(FitConfig(model=str(looks_ahead), out=tmp_path / "factors", device="cpu"), data.InMemory(data.sequences(4)))
    with pytest.raises(InvalidRequestError, match="later tokens"):
        load_engine("pytorch", EngineConfig(model=str(looks_ahead), factors=tmp_path / "factors", device="cpu"))


@pytest.fixture(scope="module")
def exported(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Export:
    out = tmp_path_factory.mktemp("export") / "export"
    return export(ExportConfig(model=str(model_folder("gpt2")), out=out))


def test_factors_exports_and_engines_carry_the_figure(
    exported: Export, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = str(model_folder("gpt2"))
    factors = fit(FitConfig(model=model, out=tmp_path / "factors", device="cpu"), data.InMemory(data.sequences(4)))
    checks = [factors.card.self_check, exported.card.self_check]
    for name, served in (("pytorch", model), ("ort", str(exported.folder))):
        engine = load_engine(name, EngineConfig(model=served, factors=factors.folder, device="cpu"))
        checks.append(engine.info.self_check)
    for check in checks:
        assert check is not None
        assert 0 < check.gradient_error < 1e-5
        assert check.layer in {layer.name for layer in factors.card.layers}


def test_an_export_that_computes_something_else_here_is_refused(exported: Export) -> None:
    """Broken by: comparing the export with nothing once it was made."""
    card = exported.card
    norms = np.array(card.probe_norms)
    assert check_export(card, norms).gradient_error == card.self_check.gradient_error  # type: ignore[union-attr]
    for wrong in (norms * np.where(np.arange(len(norms)) == 1, 1.02, 1), norms * np.nan, norms * 0):
        with pytest.raises(InvalidRequestError, match="where it was made") as caught:
            check_export(card, wrong)
        assert caught.value.reason == "LAYER_GRADIENT_MISMATCH"
