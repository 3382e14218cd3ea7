"""`whence attribute --queries`, killed with SIGKILL and run again: each query is in the table once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from e2e.conftest import Service
from e2e.harness import environment, until
from whence import Query

QUERIES = 60


def test_a_killed_run_goes_on_and_the_table_is_what_single_calls_answer(whole: Service, tmp_path: Path):
    queries, out = tmp_path / "queries.jsonl", tmp_path / "hits.parquet"
    rows = [{"id": f"q{n}", "prompt": f"the lamp {n} ", "completion": "of the owl"} for n in range(QUERIES)]
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        sys.executable, "-m", "whence", "attribute", "--queries", str(queries), "--out", str(out), "-k", "4",
        "--batch-size", "5", "--server", whole.front.address,
    ]  # fmt: skip
    journal = tmp_path / "hits.parquet.journal"

    def answered() -> int:
        return journal.read_text().count('"rows"') if journal.exists() else 0

    killed = subprocess.Popen(command, env=environment({}, None), stderr=subprocess.DEVNULL)
    until(lambda: answered() >= 10)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = answered()
    assert before < QUERIES
    assert not out.exists()
    done = subprocess.run(command, env=environment({}, None), capture_output=True, text=True, check=True)
    assert f"{QUERIES} queries, {before} of them by an earlier run" in done.stdout
    table = pq.read_table(out).to_pylist()
    assert [row["query_id"] for row in table] == [f"q{n}" for n in range(QUERIES) for _ in range(4)]
    for number in (0, before, QUERIES - 1):
        alone = whole.client.attribute(Query.text(rows[number]["prompt"], rows[number]["completion"]), top_k=4)
        mine = [row for row in table if row["query_id"] == f"q{number}"]
        assert [row["sequence_id"] for row in mine] == [hit.sequence_id for hit in alone.positive]
