"""An evaluation in process, as in a script of a user: run by test_real_run.py in a process of its own.

    python tests/harness/evaluate.py MODEL SERVER FOLDER

It evaluates, writes the samples to FOLDER/samples as `lm_eval --log_samples` does, attributes the results that it has
in memory to FOLDER/results.jsonl, and prints lm_eval's own figures as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

import whence
from whence.harness.lm_eval import attribute

TASKS = ["world_choice", "world_generate", "world_likelihood", "world_mutual"]


def main(model: str, server: str, folder: Path) -> None:
    tracker = EvaluationTracker(output_path=str(folder / "samples"))
    results = simple_evaluate(
        model="hf",
        model_args={"pretrained": model, "dtype": "float32"},
        tasks=TASKS,
        device="cpu",
        batch_size=8,
        limit=8,
        bootstrap_iters=0,
        log_samples=True,
        evaluation_tracker=tracker,
        task_manager=TaskManager(include_path=str(Path(__file__).parent / "tasks"), include_defaults=False),
    )
    with whence.Client(server) as client:
        attribute(results, client, folder / "results.jsonl", top_k=2)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    print(json.dumps(results["results"]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
