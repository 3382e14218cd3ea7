"""Runs the commands of a section of a document, one after the other, and says how long each took.

    python scripts/run_section.py docs/harnesses.md "From model to table" [--folder FOLDER] [--list]

The commands are those of the section's first block of shell, which is all there is of them: they run in one bash, in
FOLDER (the checkout), with the programs of this Python's environment first. Ends with a table of the seconds of each
command by the clock and of processors, then ``name=value`` of the whole. The processors' seconds of what runs in the
background are those of the command that ends it. ``--list`` only prints the commands.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
# After each command: the seconds of processors that bash and its children took up to here, and the time.
MARK = '{ times; echo "$EPOCHREALTIME"; } >> "$MARKS"'
SHOWN_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment between two commands: the time, and the seconds of processors until then."""

    time_s: float
    cpu_s: float


def commands(document: str, section: str) -> list[str]:
    """Return the commands of a section's first block of shell. Raises ``ValueError`` where there is none."""
    _, heading, text = document.partition(f"# {section}\n")
    prose, block, rest = text.partition("```sh\n")
    if not (heading and block) or re.search("^#", prose, re.M):
        raise ValueError(f"no block of shell under the heading {section!r}")
    lines = rest.partition("```")[0].replace("\\\n", " ").splitlines()
    return [re.sub(r" {2,}", " ", line) for line in lines if line and not line.startswith("#")]


def run(steps: Sequence[str], folder: Path) -> list[Mark]:
    """Run the commands in one bash. Return a mark before the first and one after each; exit where one fails."""
    with tempfile.TemporaryDirectory() as temporary:
        marks = Path(temporary) / "marks"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "MARKS": str(marks), "LC_NUMERIC": "C"}
        program = "\n".join(["set -eu", MARK, *(f"{step}\n{MARK}" for step in steps)])
        bash = subprocess.Popen(["bash", "-c", program], cwd=folder, env=environment, start_new_session=True)
        try:
            failed = bash.wait()
        finally:
            _end(bash.pid)
        seen = list(_marks(marks.read_text(encoding="utf-8")))
    if failed:
        sys.exit(f"failed with {failed}: {steps[len(seen) - 1]}")
    return seen


def _end(group: int) -> None:
    """End what a command left in the background, if one failed."""
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return


def _marks(text: str) -> Iterator[Mark]:
    lines = text.splitlines()
    for own, children, time in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        parts = re.findall(r"(\d+)m([\d.]+)s", own + children)
        yield Mark(time_s=float(time), cpu_s=sum(60 * int(minutes) + float(seconds) for minutes, seconds in parts))


def report(steps: Sequence[str], marks: Sequence[Mark]) -> str:
    """Return a line for each command that took a while, and one of the whole."""
    lines = [f"{'command':20} {'wall_s':>8} {'cpu_s':>8}"]
    for step, (before, after) in zip(steps, pairwise(marks), strict=True):
        wall_s, cpu_s = after.time_s - before.time_s, after.cpu_s - before.cpu_s
        if wall_s >= SHOWN_S:
            lines.append(f"{_name(step):20} {wall_s:8.1f} {cpu_s:8.1f}")
    wall_s, cpu_s = marks[-1].time_s - marks[0].time_s, marks[-1].cpu_s - marks[0].cpu_s
    lines.append(f"wall_s={wall_s:.1f} cpu_s={cpu_s:.1f} cores={os.cpu_count()} load_1min={os.getloadavg()[0]:.1f}")
    return "\n".join(lines)


def _name(step: str) -> str:
    program, *arguments = shlex.split(step)
    return " ".join([program, *(word for word in arguments[:1] if word.isalpha())])


def main() -> None:
    """Read the document and run its section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("document", type=Path)
    parser.add_argument("section")
    parser.add_argument("--folder", type=Path, default=ROOT, help="where the commands run")
    parser.add_argument("--list", action="store_true", help="only print the commands")
    given = parser.parse_args()
    steps = commands(given.document.read_text(encoding="utf-8"), given.section)
    text = "\n".join(steps) if given.list else report(steps, run(steps, given.folder))
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
