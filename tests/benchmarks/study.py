"""Heavy tails and concentration of the demo's influences: what `whence study` says of eight questions.

    python tests/benchmarks/study.py [--folder DIR] [--questions 8] [--figures DIR]
    python tests/benchmarks/study.py --noise

Every one of the demo's 4,000 sequences is scored for each question by the function behind `whence scores`, over gRPC.
The noise, where it ends, and the signals are those of the service's own rule, applied to all these influences. Prints
for each question and sign the exponent of the tail with its KS p-value and what noise alone gives; and the share of the
first 1 % of sequences, of influences and signals, and of noise alone. With `--noise`: how often made-up noise, with
nothing in it, is said to differ from noise (5 % is right), and is rejected as a power law.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

import whence
from whence.analysis import Concentration, Distribution, QueryInfluences, concentration, distribution, read_influences
from whence.analysis import figures as drawn
from whence.bulk.matrix import score_files
from whence.results import Noise
from whence_backends.corpus import Corpus
from whence_backends.demo.run import prepare, serving
from whence_backends.demo.subjects import tiny
from whence_service.shrinkage.distribution import Distribution as Counts
from whence_service.shrinkage.shrinkage import Shrinkage, shrink

TABLE = "influences.parquet"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep factors and influences here, and use what is there")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--figures", type=Path, help="write the figures of all questions here, as SVG and PNG")
    parser.add_argument("--noise", action="store_true", help="study made-up noise in place of the demo")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    print_machine()
    if options.noise:
        print_noise()
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / TABLE).exists():
            collect(folder, options.questions)
        queries = read_influences([folder / TABLE])
    tails = [tail(query, sign) for query in queries for sign in (1, -1)]
    shares = [share(query, sign) for query in queries for sign in (1, -1)]
    print_tails(tails)
    print_shares(shares)
    if options.figures:
        drawn.save(drawn.distributions([study for study in tails if study.sign > 0]), options.figures, "study-tails")
        drawn.save(drawn.concentrations([study for study in shares if study.sign > 0]), options.figures, "study-shares")
    summary(tails, shares)


def collect(folder: Path, count: int) -> None:
    """Write the influences of all sequences on the first questions."""
    subject = tiny()
    prepared = prepare(subject, folder, lambda _: None)
    corpus = Corpus.open(prepared.corpus)
    questions = [{"id": q.id, "prompt": q.prompt, "completion": q.completion} for q in subject.questions[:count]]
    sequences = [{"sequence_id": corpus.record(position).sequence_id} for position in range(corpus.sequences)]
    asked = write_lines(folder / "queries.jsonl", questions), write_lines(folder / "sequences.jsonl", sequences)
    with serving(subject, prepared) as address, whence.Client(address, timeout_s=3600) as client:
        score_files(client, *asked, folder / TABLE)


def write_lines(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def shrinkage(query: QueryInfluences) -> Shrinkage:
    return shrink(Counts.of(query.influences.tolist()))


def noise(query: QueryInfluences) -> Noise:
    """Return the noise that an answer of a full scan states."""
    fit = shrinkage(query)
    significant = [
        sum(fit.significance(value) >= 0.95 for value in query.influences.tolist() if sign * value > 0)
        for sign in (1, -1)
    ]
    return Noise(
        scale=fit.scale,
        degrees_of_freedom=fit.tails.freedom,
        positive_threshold=fit.threshold(1),
        negative_threshold=fit.threshold(-1),
        sequences=query.influences.size,
        positive_significant=significant[0],
        negative_significant=significant[1],
    )


def tail(query: QueryInfluences, sign: int) -> Distribution:
    return distribution(query.influences, query_id=query.query_id, sign=sign, noise=noise(query))


def share(query: QueryInfluences, sign: int) -> Concentration:
    signals = np.array(list(map(shrinkage(query).signal, query.influences.tolist())))
    return concentration(query.influences, query_id=query.query_id, sign=sign, signals=signals, noise=noise(query))


def print_tails(tails: list[Distribution]) -> None:
    columns = f"{'exponent':>12} {'KS p':>5} {'limit':>6} {'noise alone':>13} {'noise in':>9} {'told':>5}"
    print(f"\n{'tail':28} {'':2} {columns}")
    for study in tails:
        far, mark = study.noise_tail, "*" if study.differs_from_noise else " "
        exponent, middle = f"{study.exponent:.2f} ± {study.standard_error:.2f}", f"{far.low:.2f} to {far.high:.2f}"
        print(
            f"{study.query_id:28} {'+-'[study.sign < 0]:2} {exponent:>12} {study.ks_p:5.2f} {far.limit:6.1f} "
            f"{middle:>13}{mark} {far.expected:8.1f} {far.above_threshold:5}"
        )
    of = tails[0]
    print("limit: the exponent of noise far out; told: values told from noise")
    print(f"{of.tail} of {of.sequences:,}; noise in: values of noise alone beyond x_min; *: outside of noise alone")


def print_shares(shares: list[Concentration]) -> None:
    print(f"\n{'first 1 %':28} {'':2} {'influence':>9} {'noise alone':>16} {'signal':>8} {'half in':>8} {'noise':>6}")
    for study in shares:
        top, mark = study.top, "*" if study.differs_from_noise else " "
        signal = "none" if top.signal is None else f"{top.signal:.1%}"
        print(
            f"{study.query_id:28} {'+-'[study.sign < 0]:2} {top.influence:9.1%} "
            f"{f'{top.noise_low:.1%} to {top.noise_high:.1%}':>16}{mark} {signal:>7} {study.half:8} "
            f"{study.half_of_noise:6.0f}"
        )


def print_noise(samples: int = 60) -> None:
    differing = []
    print(f"\n{'degrees':>8} {'sequences':>10} {'exponents differ':>17} {'shares differ':>14} {'rejected':>9}")
    for freedom, sequences in ((f, n) for f in (2, 3, 5) for n in (1000, 4000)):
        drawn = [np.random.default_rng(seed).standard_t(freedom, sequences) for seed in range(samples)]
        tails = [distribution(values, simulations=50, seed=seed) for seed, values in enumerate(drawn)]
        shares = [concentration(values, seed=seed) for seed, values in enumerate(drawn)]
        row = [np.mean([study.differs_from_noise for study in studies]) for studies in (tails, shares)]
        rejected = np.mean([study.rejected for study in tails])
        print(f"{freedom:8} {sequences:10,} {row[0]:17.3f} {row[1]:14.3f} {rejected:9.3f}")
        differing.append(row)
    exponents, of_shares = np.mean(differing, axis=0)
    print_figures(exponents_differ=exponents, shares_differ=of_shares, samples=samples)


def summary(tails: list[Distribution], shares: list[Concentration]) -> None:
    figures: dict[str, float] = {}
    for name, sign in (("positive", 1), ("negative", -1)):
        fits = [study for study in tails if study.sign == sign]
        tops = [study for study in shares if study.sign == sign]
        figures |= {
            f"{name}_exponent": float(np.median([study.exponent for study in fits])),
            f"{name}_rejected": sum(study.rejected for study in fits),
            f"{name}_tails_unlike_noise": sum(study.differs_from_noise for study in fits),
            f"{name}_top_low": min(study.top.influence for study in tops),
            f"{name}_top_high": max(study.top.influence for study in tops),
            f"{name}_shares_unlike_noise": sum(study.differs_from_noise for study in tops),
        }
    print()
    print_figures(**figures, questions=len(tails) // 2)


if __name__ == "__main__":
    main()
