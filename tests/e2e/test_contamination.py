"""`whence contamination` against a real service, killed with SIGKILL and run again; and callers without the scope."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from e2e.conftest import Service
from e2e.harness import environment, until

COPIES, ITEMS, CLEAN = 4, 24, 12


def write_items(folder: Path, service: Service) -> None:
    """Items whose words are those of the corpus in an order that it does not have, the first four copied from it."""
    corpus = service.artefacts.open_corpus()
    texts = sorted((corpus.record(number).text for number in range(corpus.sequences)), key=len)[-COPIES:]
    copies = [{"id": f"copy{number}", "prompt": text[:8], "completion": text[8:]} for number, text in enumerate(texts)]
    others = [{"id": f"new{number}", "prompt": f"zq{number}qz ", "completion": "vat jugs"} for number in range(ITEMS)]
    clean = [{"prompt": f"xk{number}kx ", "completion": "vat jugs"} for number in range(CLEAN)]
    for name, rows in (("items", [*copies, *others]), ("clean", clean)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_copies_are_found_and_a_killed_run_goes_on(whole: Service, tmp_path: Path):
    write_items(tmp_path, whole)
    command = [
        sys.executable, "-m", "whence", "contamination", "--queries", "items.jsonl", "--clean", "clean.jsonl",
        "--out", "table.jsonl", "--batch-size", "2", "--concurrency", "1", "--server", whole.front.address,
    ]  # fmt: skip
    journal = tmp_path / "table.jsonl.journal"

    def answered() -> int:
        return journal.read_text().count('"rows"') if journal.exists() else 0

    killed = subprocess.Popen(command, cwd=tmp_path, env=environment({}, None), stderr=subprocess.DEVNULL)
    until(lambda: answered() >= 6)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = answered()
    assert before < COPIES + ITEMS + CLEAN
    done = subprocess.run(command, cwd=tmp_path, env=environment({}, None), capture_output=True, text=True, check=True)
    assert f"{COPIES + ITEMS + CLEAN} items, {before} of them by an earlier run" in done.stdout
    assert f"{COPIES} of {COPIES + ITEMS} items are in one training sequence word for word" in " ".join(
        done.stdout.split()
    )
    rows = [json.loads(line) for line in (tmp_path / "table.jsonl").read_text().splitlines()]
    assert len(rows) == COPIES + ITEMS + CLEAN
    assert [row["query_id"] for row in rows if row["overlap"] == 1] == [f"copy{number}" for number in range(COPIES)]
    assert {row["overlap_p"] for row in rows[:COPIES]} == {1 / (1 + CLEAN)}
    assert {row["overlap_p"] for row in rows[COPIES : COPIES + ITEMS]} == {1.0}
    assert all(row["influence_p"] is not None for row in rows)
