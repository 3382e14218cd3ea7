"""How well influences agree with the proximal Bregman response function, which is what they approximate.

    python tests/benchmarks/pbrf.py [--concrete-points 40] [--damping 0.1 10 100] [--only concrete|language] …

``concrete`` is the case of Grosse et al. 2023, App. C (tests/validation/pbrf/concrete.py): 10 measurements on the test
part, random training points, every weight free, the whole training part as objective. Besides, from dense Jacobians of
all training points: what the blocks of the layers alone keep of the Gauss-Newton matrix, and EK-FAC of these.
``language`` is a small language model trained on Python's standard library (tests/benchmarks/realtext.py's text), with
``run_pbrf`` as `whence validate pbrf` runs it.

The last line is of Concrete at the first damping and one copy, but for lm_*: pearson_* of EK-FAC, the dot product and
the damped Gauss-Newton matrix, converged_share of the points at that size.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

from small_nets import ekfac, traces
from validation.pbrf.concrete import Concrete, load_concrete, mean_squared_error, train_concrete
from validation.pbrf.language import make_language_artefacts
from validation.pbrf.regression import Subject, linear_layers, rows, sampled_factors
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.validation.pbrf.agreement import Agreement, Interval, agreements
from whence_backends.validation.pbrf.job import run_pbrf
from whence_backends.validation.pbrf.newton import Effort
from whence_backends.validation.pbrf.responses import PointResponses

MEASUREMENTS = 10
COPIES = (1.0, 0.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concrete-points", type=int, default=40)
    parser.add_argument("--damping", type=float, nargs="+", default=[0.1, 10.0, 100.0])
    parser.add_argument("--only", choices=("concrete", "language"))
    parser.add_argument("--json", type=Path, help="write the language model's result there")
    given = parser.parse_args()
    print_machine()
    figures: dict[str, float] = {}
    if given.only != "language":
        figures |= concrete(given.damping, given.concrete_points)
    if given.only != "concrete":
        figures |= language(given.json)
    print_figures(**figures)


def concrete(dampings: Sequence[float], points: int) -> dict[str, float]:
    """Print the tables of Concrete, and return the figures of the first damping."""
    data = load_concrete()
    net = train_concrete(data)
    errors = [mean_squared_error(net, part) for part in (data.training, data.validation, data.test)]
    print("# concrete: mean squared error, training {:.3f} validation {:.3f} test {:.3f}".format(*errors))
    factors = sampled_factors(net, data.training[0], seed=1)
    figures: dict[str, float] = {}
    for damping in dampings:
        responses = concrete_responses(data, Subject(net, *data.training, factors, damping), points)
        found = agreements(responses)
        print_agreements(f"concrete, damping {damping:g}", responses, found)
        blocks(data, net, factors, damping)
        figures = figures or last_line(responses, found)
    return figures


def concrete_responses(data: Concrete, subject: Subject, points: int) -> list[PointResponses]:
    queries = [rows(data.test[0][place : place + 1], data.test[1][place : place + 1]) for place in range(MEASUREMENTS)]
    started = time.monotonic()
    function = subject.responses(queries, columns=200, effort=Effort())
    chosen = np.random.default_rng(5).permutation(len(subject.x))[:points]
    responses = [function.of(subject.point(int(place)), COPIES) for place in chosen]
    print(f"# {points} points, {time.monotonic() - started:.0f} s")
    return responses


def blocks(data: Concrete, net: torch.nn.Sequential, factors: Sequence[LayerFactors[Tensor]], damping: float) -> None:
    """Print the correlation of approximations with the dense damped Gauss-Newton matrix, over all training points."""
    (x, y), (x_test, y_test) = data.training, (part[:MEASUREMENTS] for part in data.test)
    J, J_test = jacobian(net, x), jacobian(net, x_test)
    g = [layer * (y - net(x)) for layer in J]
    f = [layer * (y_test - net(x_test)) for layer in J_test]
    layers = linear_layers(net)
    exact = ekfac(
        tuple(layer.spec for layer in layers), traces(net, layers, x.unsqueeze(1), torch.ones(len(x), 1, 1).double())
    )
    want = dense(J, f, [layer.damping(damping) for layer in exact]) @ torch.cat(g, dim=1).T
    by_block = sum(
        dense([j], [v], [layer.damping(damping)]) @ z.T for j, v, z, layer in zip(J, f, g, exact, strict=True)
    )
    compared = {"blocks of layers": by_block, "EK-FAC": scores(f, g, factors, damping)}
    compared |= {
        "EK-FAC, exact labels": scores(f, g, exact, damping),
        "dot product": sum(v @ z.T for v, z in zip(f, g, strict=True)),
    }
    for name, got in compared.items():
        correlations = [np.corrcoef(got[query], want[query])[0, 1] for query in range(MEASUREMENTS)]  # type: ignore[index]
        print(f"  dense Gauss-Newton, all {len(x)} points: {name:22} {np.mean(correlations):.3f}")


def jacobian(net: torch.nn.Sequential, x: Tensor) -> list[Tensor]:
    """The derivatives [n, D_out·D_in] of the one output in each layer's weights."""
    of = traces(net, linear_layers(net), x.unsqueeze(1), torch.ones(len(x), 1, 1).double())
    return [(s.transpose(1, 2) @ a).reshape(len(x), -1) for a, s in of]


def dense(J: Sequence[Tensor], f: Sequence[Tensor], damping: Sequence[float]) -> Tensor:
    """(JᵀJ/n + λ)⁻¹ f by Woodbury, for rows f [q, P], with J [n, P] of some layers and λ of each."""
    n, joined, right = len(J[0]), torch.cat(list(J), dim=1), torch.cat(list(f), dim=1)
    scale = torch.cat([torch.full((layer.shape[1],), value).double() for layer, value in zip(J, damping, strict=True)])
    kernel = n * torch.eye(n).double() + (joined / scale) @ joined.T
    return (right - torch.linalg.solve(kernel, joined @ (right / scale).T).T @ joined) / scale


def scores(f: Sequence[Tensor], g: Sequence[Tensor], factors: Sequence[LayerFactors[Tensor]], damping: float) -> Tensor:
    total = torch.zeros(len(f[0]), len(g[0])).double()
    for v, z, layer in zip(f, g, factors, strict=True):
        D = layer.Lambda.shape
        V = (
            layer.Q_S
            @ ((layer.Q_S.T @ v.view(-1, *D) @ layer.Q_A) / (layer.Lambda + layer.damping(damping)))
            @ layer.Q_A.T
        )
        total += V.reshape(len(v), -1) @ z.T
    return total


def language(file: Path | None) -> dict[str, float]:
    """Print the table of the language model, and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        config = make_language_artefacts(Path(folder))
        print(f"# language model and factors: {time.monotonic() - started:.0f} s")
        started = time.monotonic()
        result = run_pbrf(config)
    print(f"# {len(result.points)} points, {time.monotonic() - started:.0f} s; {result.setting}")
    for remark in result.remarks:
        print(f"# {remark}")
    print_agreements("language model", result.responses, result.agreements)
    if file is not None:
        file.write_text(json.dumps(result.as_json()))
    return {f"lm_{name}": value for name, value in last_line(result.responses, result.agreements).items()}


def print_agreements(name: str, responses: Sequence[PointResponses], found: Sequence[Agreement]) -> None:
    print(f"## {name}")
    for number, size in enumerate(responses[0].responses):
        of_size = [point.responses[number] for point in responses]
        reached = sum(response.per_copy is not None for response in of_size)
        worst = max(response.gradient for response in of_size)
        work = [np.median([getattr(response, kind) for response in of_size]) for kind in ("steps", "iterations")]
        print(
            f"  {size.copies:g} copies: {reached} of {len(of_size)} converged, largest gradient {worst:.1e} of its "
            f"start, {work[0]:g} steps and {work[1]:g} products each"
        )
    print("  copies method          pearson               slope                 over the dot product")
    for row in found:
        cells = "  ".join(_cell(interval) for interval in (row.pearson, row.slope, row.over_dot_product))
        print(f"  {row.copies:<6g} {row.method:13}  {cells}")


def last_line(responses: Sequence[PointResponses], found: Sequence[Agreement]) -> dict[str, float]:
    first = {row.method: row.pearson.value for row in found if row.copies == COPIES[0]}
    reached = [point.responses[0].per_copy is not None for point in responses]
    return {f"pearson_{method}": value for method, value in first.items()} | {
        "converged_share": float(np.mean(reached))
    }


def _cell(interval: Interval) -> str:
    return f"{interval.value:6.3f} [{interval.low:6.3f}, {interval.high:6.3f}]"


if __name__ == "__main__":
    main()
