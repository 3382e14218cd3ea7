"""Where EK-FAC and the damped Gauss-Newton matrix part on Concrete, and what is not the cause.

    python tests/benchmarks/pbrf_causes.py [--damping 0.1 1 10]

Influences of all training points on ten test points, from dense Jacobians, for nets of other widths, depths, seeds and
lengths of training. A row has, as correlations over the points, means over the measurements: with the damped
Gauss-Newton matrix of all layers, its blocks of single layers, EK-FAC with labels summed out, with sampled labels and
by kronfluence, and the dot product; EK-FAC with the block of each layer; the range of EK-FAC's over draws of 60 points.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

from kronfluence_oracle import quiet
from small_nets import ekfac, traces
from validation.pbrf.concrete import Concrete, load_concrete, mean_squared_error, train_concrete
from validation.pbrf.regression import linear_layers, sampled_factors
from whence_backends.ekfac.layer_factors import LayerFactors

MEASUREMENTS = 10
_DRAWN, _DRAWS = 60, 200
NETS: Mapping[str, Mapping[str, int]] = {
    "as in the paper": {},
    "another seed": {"seed": 1},
    "20 epochs": {"epochs": 20},
    "3,000 epochs": {"epochs": 3000},
    "one hidden layer": {"hidden": 1},
    "width 32": {"width": 32},
    "width 16": {"width": 16},
    "width 8": {"width": 8},
}
Factors = Sequence[LayerFactors[Tensor]]


class DenseCurvature:
    """The derivatives of a net of one output at all training points, layer by layer, and of ten test points.

    ``J`` are Jacobians [n, P_l], ``g`` gradients of the training points' log-likelihoods [n, P_l], ``f`` those of the
    measurements [q, P_l].
    """

    def __init__(self, data: Concrete, net: nn.Sequential) -> None:
        (self.x, y), (x_test, y_test) = data.training, (part[:MEASUREMENTS] for part in data.test)
        self.J, J_test = _jacobian(net, self.x), _jacobian(net, x_test)
        self.g = [layer * (y - net(self.x)) for layer in self.J]
        self.f = [layer * (y_test - net(x_test)) for layer in J_test]
        layers, one = linear_layers(net), torch.ones(len(self.x), 1, 1).double()
        self.exact = ekfac(tuple(layer.spec for layer in layers), traces(net, layers, self.x.unsqueeze(1), one))
        self.dot: Tensor = sum(v @ z.T for v, z in zip(self.f, self.g, strict=True))  # type: ignore[assignment]

    def whole(self, damping: float) -> Tensor:
        """Influences [q, n] by the Gauss-Newton matrix of all layers, damped by layer."""
        return _dense(self.J, self.f, [layer.damping(damping) for layer in self.exact]) @ torch.cat(self.g, dim=1).T

    def blocks(self, damping: float) -> list[Tensor]:
        """Influences [q, n] through each layer, by its block."""
        layers = zip(self.J, self.f, self.g, self.exact, strict=True)
        return [_dense([j], [v], [layer.damping(damping)]) @ z.T for j, v, z, layer in layers]

    def ekfac(self, damping: float, factors: Factors) -> list[Tensor]:
        """Influences [q, n] through each layer, by EK-FAC."""
        scores = []
        for v, z, layer in zip(self.f, self.g, factors, strict=True):
            rotated = layer.Q_S.T @ v.view(-1, *layer.Lambda.shape) @ layer.Q_A
            V = layer.Q_S @ (rotated / (layer.Lambda + layer.damping(damping))) @ layer.Q_A.T
            scores.append(V.reshape(len(v), -1) @ z.T)
        return scores

    def agreement(self, damping: float, sampled: Factors) -> dict[str, float]:
        """The correlation of each approximation with the damped Gauss-Newton matrix of all layers."""
        compared = {
            "blocks of layers": sum(self.blocks(damping)),
            "EK-FAC": sum(self.ekfac(damping, sampled)),
            "EK-FAC, exact labels": sum(self.ekfac(damping, self.exact)),
            "dot product": self.dot,
        }
        want = self.whole(damping)
        return {name: correlation(got, want) for name, got in compared.items()}  # type: ignore[arg-type]


def correlation(left: Tensor, right: Tensor) -> float:
    """The correlation over columns, the mean over rows."""
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(left.numpy(), right.numpy(), strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damping", type=float, nargs="+", default=[0.1, 1.0, 10.0])
    given = parser.parse_args()
    print_machine()
    data, figures = load_concrete(), {}
    for name, shape in NETS.items():
        net = train_concrete(data, **shape)
        curvature, sampled = DenseCurvature(data, net), sampled_factors(net, data.training[0], seed=1)
        weights = sum(j.shape[1] for j in curvature.J)
        errors = " ".join(f"{mean_squared_error(net, part):.3f}" for part in (data.training, data.test))
        print(f"## {name}: {weights:,} weights, mean squared error on training and test {errors}; "
              f"mean Λ {' '.join(f'{layer.mean:.1e}' for layer in curvature.exact)}")  # fmt: skip
        for damping in given.damping:
            row = curvature.agreement(damping, sampled)
            figures = figures or {"ekfac": row["EK-FAC"], "blocks": row["blocks of layers"]}
            print(f"  damping {damping:<5g}" + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
            _print_detail(curvature, damping)
        if not shape:
            by_kronfluence(data, net, curvature, given.damping[0])
    print_figures(**figures)


def _print_detail(curvature: DenseCurvature, damping: float) -> None:
    layers, blocks = curvature.ekfac(damping, curvature.exact), curvature.blocks(damping)
    by_layer = " ".join(f"{correlation(ours, block):.2f}" for ours, block in zip(layers, blocks, strict=True))
    total, want, rng = sum(layers), curvature.whole(damping), np.random.default_rng(0)
    draws = [rng.permutation(len(curvature.x))[:_DRAWN] for _ in range(_DRAWS)]
    low, middle, high = np.quantile([correlation(total[:, d], want[:, d]) for d in draws], [0.025, 0.5, 0.975])  # type: ignore[index]
    print(f"    EK-FAC with each layer's own block {by_layer}; of {_DRAWN} random points with all layers: median "
          f"{middle:.2f}, 95 % of draws {low:.2f} to {high:.2f}")  # fmt: skip


def by_kronfluence(data: Concrete, net: nn.Sequential, curvature: DenseCurvature, damping: float) -> None:
    """Print the same of kronfluence's EK-FAC, with its own labels, and its correlation with ours."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = torch.from_numpy(kronfluence_scores(data, net, damping, folder))
    ours = sum(curvature.ekfac(damping, curvature.exact))
    agreement = correlation(theirs, curvature.whole(damping)), correlation(theirs, ours)
    print("    kronfluence's EK-FAC, damping {:g}: {:.3f}, with ours {:.3f}".format(damping, *agreement))


def kronfluence_scores(data: Concrete, net: nn.Sequential, damping: float, folder: str) -> Any:
    """Influences [q, n] by kronfluence. Its damping is a number for all layers, or 0.1 of each layer's mean: None."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    if damping != 0.1:
        raise ValueError("kronfluence damps by a share of each layer's mean at 0.1 alone")

    class Regression(Task):
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
            outputs = model(batch[0])
            targets = torch.normal(outputs.detach(), 1.0) if sample else batch[1]
            return (outputs - targets).square().sum() / 2

        def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return [name for name, module in net.named_children() if isinstance(module, nn.Linear)]

    training = torch.utils.data.TensorDataset(*data.training)
    test = torch.utils.data.TensorDataset(*(part[:MEASUREMENTS] for part in data.test))
    wide = torch.float64
    factors = FactorArguments(
        strategy="ekfac", covariance_max_examples=None, lambda_max_examples=None, activation_covariance_dtype=wide,
        gradient_covariance_dtype=wide, per_sample_gradient_dtype=wide, lambda_dtype=wide,
    )  # fmt: skip
    scores = ScoreArguments(
        damping_factor=None, per_sample_gradient_dtype=wide, precondition_dtype=wide, score_dtype=wide
    )
    with quiet():
        task = Regression()
        analyzer = Analyzer("concrete", prepare_model(net, task), task, cpu=True, output_dir=folder, disable_tqdm=True)
        analyzer.fit_all_factors("factors", training, per_device_batch_size=len(training), factor_args=factors)
        analyzer.compute_pairwise_scores(
            "scores", "factors", test, training, per_device_query_batch_size=MEASUREMENTS,
            per_device_train_batch_size=len(training), score_args=scores,
        )  # fmt: skip
        return analyzer.load_pairwise_scores("scores")["all_modules"].double().numpy()


def _jacobian(net: nn.Sequential, x: Tensor) -> list[Tensor]:
    of = traces(net, linear_layers(net), x.unsqueeze(1), torch.ones(len(x), 1, 1).double())
    return [(s.transpose(1, 2) @ a).reshape(len(x), -1) for a, s in of]


def _dense(J: Sequence[Tensor], f: Sequence[Tensor], damping: Sequence[float]) -> Tensor:
    """(JᵀJ/n + λ)⁻¹ f by Woodbury, for rows f [q, P], with J [n, P] of some layers and λ of each."""
    n, joined, right = len(J[0]), torch.cat(list(J), dim=1), torch.cat(list(f), dim=1)
    scale = torch.cat([torch.full((layer.shape[1],), value).double() for layer, value in zip(J, damping, strict=True)])
    kernel = n * torch.eye(n).double() + (joined / scale) @ joined.T
    return (right - torch.linalg.solve(kernel, joined @ (right / scale).T).T @ joined) / scale


if __name__ == "__main__":
    main()
