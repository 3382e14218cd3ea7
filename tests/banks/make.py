"""Makes a bank of retrained models: `python tests/banks/make.py demo` or `… python`. Killed, it goes on where it was.

Each bank is a folder beside this file. The documents and queries in it are written by `demo_documents.py` and
`python_documents.py`; the plan, the proxy and what each of its retrained models says by `whence_backends.validation`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import demo_documents
import python_documents

from whence_backends.validation.plan import PlanConfig
from whence_backends.validation.proxy_bank import prepare_proxy_bank
from whence_backends.validation.training import TrainingProgress, train_and_measure

WRITERS: Final = {"demo": demo_documents.write, "python": python_documents.write}
SOURCES: Final = {
    "demo": ("letters", "encyclopedia", "travel-diary", "trade-ledger", "gazetteer", "almanac"),
    "python": (
        "specialnames", "asyncio", "compound", "unittest", "tkinter", "types", "doctest", "turtle", "email", "inspect",
    ),
}  # fmt: skip


def plan_of(name: str) -> PlanConfig:
    """Return the plan of a bank: 40 halves, 12 of them twice, 4 full models, and models without each source."""
    return PlanConfig(
        subsets=40, repeats=12, full_seeds=4, without=SOURCES[name], without_seeds=2 if name == "python" else 1
    )


def main() -> None:
    """Make a bank, `--parallel` models at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", choices=WRITERS)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    folder = arguments.out or Path(__file__).parent / arguments.bank
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "documents.jsonl").exists():
        WRITERS[arguments.bank](folder)
    proxy = prepare_proxy_bank(folder / "documents.jsonl", folder / "queries.jsonl", folder, plan_of(arguments.bank))
    started = time.monotonic()

    def show(at: TrainingProgress) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {at.done:3} of {at.total}  {at.name}", flush=True)

    train_and_measure(proxy.bank, proxy.trainer, proxy.measurement, parallel=arguments.parallel, progress=show)


if __name__ == "__main__":
    main()
