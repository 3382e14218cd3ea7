"""How well influences agree with the proximal Bregman response function, which is what they approximate.

    python tests/benchmarks/pbrf.py [--concrete-points 40] [--damping 0.1 10 100] [--only concrete|language] …

``concrete`` is the case of Grosse et al. 2023, App. C (tests/validation/pbrf/concrete.py): 10 measurements on the test
part, random training points, every weight free, the whole training part as objective. Besides, from dense Jacobians of
all training points: what the blocks of the layers alone keep of the Gauss-Newton matrix, and EK-FAC of these; where
EK-FAC loses, pbrf_causes.py says.
``language`` is the model of a bank (tests/banks), with factors of its whole corpus and ``run_pbrf`` as `whence validate
pbrf` runs it, in float32, which is too coarse for small pulls; the outputs of `--sequences` of its thousand sequences
are held.

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
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine
from pbrf_causes import MEASUREMENTS, DenseCurvature

from validation.pbrf.concrete import Concrete, load_concrete, mean_squared_error, train_concrete
from validation.pbrf.regression import Subject, rows, sampled_factors
from whence_backends.corpus import Corpus
from whence_backends.ekfac.layer_factors import LayerFactors
from whence_backends.fit import FitConfig, fit
from whence_backends.validation.pbrf.agreement import Agreement, Interval, agreements
from whence_backends.validation.pbrf.config import PbrfConfig, PbrfProgress
from whence_backends.validation.pbrf.job import run_pbrf
from whence_backends.validation.pbrf.newton import Effort
from whence_backends.validation.pbrf.responses import PointResponses
from whence_backends.validation.proxy_bank import MODEL, make_corpus

BANKS = Path(__file__).parents[1] / "banks"
COPIES = (1.0, 0.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concrete-points", type=int, default=40)
    parser.add_argument("--damping", type=float, nargs="+", default=[0.1, 10.0, 100.0])
    parser.add_argument("--only", choices=("concrete", "language"))
    parser.add_argument("--bank", choices=("demo", "python"), default="python")
    parser.add_argument("--points", type=int, default=5, help="of the language model")
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--columns", type=int, default=250)
    parser.add_argument("--work", type=Path, help="keep the corpus and the factors here, for another run")
    parser.add_argument("--json", type=Path, help="write the language model's result there")
    given = parser.parse_args()
    print_machine()
    figures: dict[str, float] = {}
    if given.only != "language":
        figures |= concrete(given.damping, given.concrete_points)
    if given.only != "concrete":
        figures |= language(given)
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
        print_blocks(data, net, factors, damping)
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


def print_blocks(data: Concrete, net: nn.Sequential, factors: Sequence[LayerFactors[Tensor]], damping: float) -> None:
    approximations = DenseCurvature(data, net).agreement(damping, factors)
    for name, row in approximations.items():
        print(f"  dense Gauss-Newton, all {len(data.training[0])} points: {name:22} {row:.3f}")


def language(given: argparse.Namespace) -> dict[str, float]:
    """Print the table of a bank's language model, and return its figures."""
    bank = BANKS / given.bank
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        make_corpus(bank / "documents.jsonl", bank / "tokenizer", work / "corpus")
        model, corpus = str(bank / MODEL), Corpus.open(work / "corpus")
        fit(FitConfig(model=model, out=work / "factors", precision="float64", device="cpu"), corpus)
        started = time.monotonic()
        config = PbrfConfig(
            model=model,
            factors=work / "factors",
            corpus=corpus.path,
            queries=bank / "queries.jsonl",
            points=given.points,
            sequences=given.sequences,
            columns=given.columns,
            damping_factor=given.damping[0],
            device="cpu",
            precision="float32",
            batch_tokens=1024,
        )
        result = run_pbrf(config, show)
    print(f"# {len(result.points)} points, {time.monotonic() - started:.0f} s; {result.setting}")
    for remark in result.remarks:
        print(f"# {remark}")
    print_agreements(
        f"the model of the bank {given.bank}, damping {given.damping[0]:g}", result.responses, result.agreements
    )
    if given.json is not None:
        given.json.write_text(json.dumps(result.as_json()))
    return {f"lm_{name}": value for name, value in last_line(result.responses, result.agreements).items()}


def show(at: PbrfProgress) -> None:
    if at.done == at.total or at.part == "responses":
        print(f"# {at.part} {at.done} of {at.total}", flush=True)


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
