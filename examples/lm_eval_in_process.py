"""An evaluation by lm_eval whose answers are attributed in the same process: needs ``whence[harness-lm-eval]``.

python examples/lm_eval_in_process.py MODEL localhost:50051 tests/harness/tasks hits.parquet
"""

import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

import whence
from whence.harness.lm_eval import attribute


def main(model: str, server: str, tasks: str, table: Path) -> None:
    """Evaluate four questions of a task of local data, and attribute the answers."""
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": model, "dtype": "float32"},
        tasks=["world_choice"],
        task_manager=TaskManager(include_path=tasks, include_defaults=False),
        device="cpu",
        limit=4,
        bootstrap_iters=0,
        log_samples=True,
    )
    with whence.Client(server) as client:
        report = attribute(results, client, table, top_k=2)
    for task in report.tasks:
        print(task.task, task.accuracy, task.right_answers.mean_signal, task.wrong_answers.mean_signal)
    print(f"{report.run.hits} hits in {table.name}")


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
