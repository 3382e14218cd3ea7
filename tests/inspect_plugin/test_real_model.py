"""A real model evaluated through inspect's provider ``hf``, and attributed by real processes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

import tiny_models
from conformance.characters import BOS, CHAT_TEMPLATE, write_tokenizer
from e2e.harness import launcher, make_artefacts
from whence import Client, Query

TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

@task
def owls():
    return Task(dataset=[Sample(input="the owl", target="lamp"), Sample(input="a ship", target="x")], scorer=includes())
"""


def test_outputs_of_a_real_model_are_attributed_and_a_killed_service_leaves_them_unscored(run, the_log, tmp_path: Path):
    served = make_artefacts(tmp_path, chat_template=CHAT_TEMPLATE)
    torch.manual_seed(0)
    evaluated = tiny_models.save(tiny_models.llama(), tmp_path / "evaluated")
    write_tokenizer(evaluated, chat_template=CHAT_TEMPLATE)
    settings = evaluated / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "eos_token": BOS}))  # inspect pads with it
    (tmp_path / "owls.py").write_text(TASK)
    options = ["--model", "hf/local", "-M", f"model_path={evaluated}", "-M", "device=cpu", "--max-tokens", "8"]
    score = ["--scorer", "whence/attribution", "-S", "top_k=4", "--action", "append", "--overwrite"]
    with launcher(tmp_path) as launch:
        front = launch.front(launch.worker(served))
        front.wait_for("serving")
        run("eval", "owls.py", *options, server=front.address, WHENCE_INSPECT_HOOK="1", WHENCE_INSPECT_TOP_K="4")
        log = the_log()
        assert log.status == "success"
        for sample in log.samples:
            completion = sample.output.completion
            query = Query.chat([("user", str(sample.input)), ("assistant", completion)])
            with Client(front.address) as client:
                answer = client.attribute(query, top_k=4)
            score_of_hook = sample.scores["attribution"]
            assert completion
            assert score_of_hook.value == pytest.approx(answer.positive[0].signal, rel=1e-3)
            assert [hit["id"] for hit in score_of_hook.metadata["hits"]] == [hit.sequence_id for hit in answer.positive]
            assert score_of_hook.metadata["provenance"]["corpus_digest"] == answer.provenance.corpus_digest
        front.kill()
        run("score", log.location, *score, server=front.address)
    for sample in the_log().samples:
        (added,) = [value for name, value in sample.scores.items() if name not in ("includes", "attribution")]
        assert math.isnan(added.value)
        assert added.metadata["error"]["reason"] == "GRPC_UNAVAILABLE"
