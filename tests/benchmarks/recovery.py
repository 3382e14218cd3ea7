"""What the loss of each part costs, and how long after its return the first exact answer is given.

    python tests/benchmarks/recovery.py [--lasting 8]

Real processes with the fake engine: two front ends, two workers with a shard each, a Redis, and a proxy before each of
them (tests/chaos). Two threads ask all the time, each call with a deadline of 5 s. No part has a replica but the front
end, whose other replica the client may use. The table has, for each part and fault: calls, those that failed by reason,
the slowest exact answer, and the time from the end of the fault to the first exact answer to a call begun after it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from measure import print_figures, print_machine

from chaos.stage import FAULTS, damage, stage
from e2e.harness import launcher, make_artefacts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lasting", type=float, default=8.0, help="the seconds that each fault lasts")
    options = parser.parse_args()
    print_machine()
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as name, launcher(Path(name)) as launch:
        folder = Path(name)
        with stage(launch, make_artefacts(folder), folder) as on:
            print(
                "| Part | Fault | Calls | Failed | Slowest answer | Recovery |\n| --- | --- | --- | --- | --- | --- |"
            )
            for part in ("redis", "worker 1", "front 0"):
                for fault in FAULTS:
                    done, traffic = damage(on, part, fault, options.lasting)
                    assert not traffic.wrong, traffic.wrong[:3]
                    failed = ", ".join(f"{count} {reason}" for reason, count in done.failed.items()) or "none"
                    print(
                        f"| {part} | {fault.__name__.replace('_', ' ')} | {done.calls} | {failed} | "
                        f"{done.slowest_s:.2f} s | {done.recovery_s:.2f} s |",
                        flush=True,
                    )
                    slowest_s = max(slowest_s, done.recovery_s)
    print_figures(slowest_recovery_s=slowest_s)


if __name__ == "__main__":
    main()
