"""kronfluence on the same model and data: an independent implementation to agree with, and to be timed against."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from whence_backends.contract import TokenSequence
from whence_backends.ekfac.batch import collate


class SequenceDataset(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Sequences as kronfluence reads them, each padded to the longest."""

    def __init__(self, sequences: Sequence[TokenSequence], length: int) -> None:
        whole = collate(list(sequences), torch.device("cpu"))
        pad = (0, length - whole.inputs.shape[1])
        self.inputs = nn.functional.pad(whole.inputs, pad)
        self.labels = nn.functional.pad(whole.labels, pad)
        self.weights = nn.functional.pad(whole.weights, pad)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"inputs": self.inputs[index], "labels": self.labels[index], "weights": self.weights[index]}


def replace_conv1d(model: nn.Module) -> None:
    """Put ``nn.Linear`` where GPT-2 has ``Conv1D``, which kronfluence does not know."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "Conv1D":
                linear = nn.Linear(*child.weight.shape, dtype=child.weight.dtype)
                linear.weight.data.copy_(child.weight.data.T)
                linear.bias.data.copy_(child.bias.data)
                setattr(parent, name, linear)


@dataclass(kw_only=True)
class Kronfluence:
    """One analysis: fit factors on ``train``, score ``train`` against queries."""

    model: nn.Module
    layers: Sequence[str]
    train: Sequence[TokenSequence]
    queries: Sequence[TokenSequence]
    folder: Path
    empirical: bool
    dtype: torch.dtype
    batch_size: int
    damping_factor: float | None = None

    def __post_init__(self) -> None:
        from kronfluence.analyzer import Analyzer, prepare_model

        replace_conv1d(self.model)
        length = max(len(sequence.token_ids) for sequence in [*self.train, *self.queries]) - 1
        self.train_data = SequenceDataset(self.train, length)
        self.query_data = SequenceDataset(self.queries, length)
        with quiet():
            task = _task(list(self.layers), self.empirical)
            prepared = prepare_model(self.model, task)
            self.analyzer = Analyzer(
                "oracle", prepared, task, cpu=not torch.cuda.is_available(), output_dir=str(self.folder),
                disable_tqdm=True, disable_model_save=True,
            )  # fmt: skip

    def covariance(self) -> None:
        with quiet():
            self.analyzer.fit_covariance_matrices(
                "factors", self.train_data, per_device_batch_size=self.batch_size, factor_args=self._factor_arguments(),
                overwrite_output_dir=True,
            )  # fmt: skip

    def eigendecomposition(self) -> None:
        with quiet():
            self.analyzer.perform_eigendecomposition(
                "factors", factor_args=self._factor_arguments(), overwrite_output_dir=True
            )

    def corrected_eigenvalues(self) -> None:
        with quiet():
            self.analyzer.fit_lambda_matrices(
                "factors", self.train_data, per_device_batch_size=self.batch_size, factor_args=self._factor_arguments(),
                overwrite_output_dir=True,
            )  # fmt: skip

    def fit(self) -> None:
        self.covariance()
        self.eigendecomposition()
        self.corrected_eigenvalues()

    def scores(self, *, by_layer: bool = False) -> dict[str, np.ndarray[Any, Any]]:
        """Return [Q, train] scores: ``all_modules``, or one entry for each layer."""
        from kronfluence.arguments import ScoreArguments

        arguments = ScoreArguments(
            damping_factor=self.damping_factor,
            compute_per_module_scores=by_layer,
            per_sample_gradient_dtype=self.dtype,
            precondition_dtype=self.dtype,
            score_dtype=self.dtype,
            query_gradient_accumulation_steps=1,
        )
        with quiet():
            self.analyzer.compute_pairwise_scores(
                "scores", "factors", self.query_data, self.train_data,
                per_device_query_batch_size=len(self.query_data), per_device_train_batch_size=self.batch_size,
                score_args=arguments, overwrite_output_dir=True,
            )  # fmt: skip
            scores = self.analyzer.load_pairwise_scores("scores")
        return {name: value.double().numpy() for name, value in scores.items()}

    def _factor_arguments(self) -> Any:
        from kronfluence.arguments import FactorArguments

        # Below float32 the statistics stay in float32, as its own low-precision presets have it.
        wide = self.dtype if self.dtype == torch.float64 else torch.float32
        return FactorArguments(
            strategy="ekfac",
            use_empirical_fisher=self.empirical,
            covariance_max_examples=None,
            lambda_max_examples=None,
            activation_covariance_dtype=wide,
            gradient_covariance_dtype=wide,
            per_sample_gradient_dtype=self.dtype,
            lambda_dtype=wide,
        )


@contextlib.contextmanager
def quiet() -> Any:
    """Keep kronfluence's logs and warnings out of ours."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _task(layers: list[str], empirical: bool) -> Any:
    from kronfluence.task import Task

    class LanguageModeling(Task):
        def compute_train_loss(self, batch: dict[str, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
            logits = model(input_ids=batch["inputs"], use_cache=False).logits
            logits = logits.view(-1, logits.shape[-1])
            labels = batch["labels"].masked_fill(batch["weights"] == 0, -100).view(-1)
            if sample and not empirical:
                with torch.no_grad():
                    drawn = torch.multinomial(torch.softmax(logits.detach(), dim=-1), num_samples=1).flatten()
                    labels = drawn.masked_fill(labels == -100, -100)
            return nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")

        def compute_measurement(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return layers

        def get_attention_mask(self, batch: dict[str, Tensor]) -> Tensor:
            return (batch["weights"] != 0).long()

    return LanguageModeling()
