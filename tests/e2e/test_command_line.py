"""From documents to an explanation with nothing but the command line, on the pytorch engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from certificates.examples import WHOLE, bound_to
from conformance.characters import CHAT_TEMPLATE, write_tokenizer
from e2e.harness import Artefacts, Launcher, influences, launcher, make_corpus, plain, told, whence
from whence import Client, Query, TrainingExample
from whence.cli import app
from whence_backends.certificates import write_certificate
from whence_backends.contract import EngineConfig
from whence_backends.engines import load_engine
from whence_backends.inspection import Named, inspect

PROMPT, COMPLETION = "the keeper lit ", "the lamp"
ASK = ("--prompt", PROMPT, "--completion", COMPLETION)
IN_DETAIL = {"include_layers": True, "include_tokens": True}  # the command's defaults


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A front end with its worker in one process."""

    artefacts: Artefacts
    address: str

    def __call__(self, *arguments: str) -> str:
        """Run a command against it and return its standard output."""
        done = whence(*arguments, server=self.address)
        assert done.returncode == 0, done.stderr
        return plain(done.stdout)


@pytest.fixture(scope="module")
def embedded(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Prepare and serve a tiny Llama as a user would: whence corpus, whence fit, whence serve."""
    root = tmp_path_factory.mktemp("commands")
    model = shutil.copytree(model_folder("llama"), root / "model")
    write_tokenizer(model, chat_template=CHAT_TEMPLATE)
    made = make_corpus(root, model)  # the same documents, by the same tokenizer
    documents, corpus, factors = str(root / "documents.jsonl"), root / "by-command", root / "factors"
    shards = ("--max-tokens", "40", "--shard-tokens", "1200")
    run("corpus", documents, "--model", str(model), "--out", str(corpus), *shards)
    assert (corpus / "manifest.json").read_bytes() == (made / "manifest.json").read_bytes()
    run("fit", "--model", str(model), "--corpus", str(corpus), "--out", str(factors), "--layers", "all-linear")
    artefacts = Artefacts(
        model=model, corpus=corpus, factors=factors, certificate=certify(root, model, corpus, factors)
    )
    with launcher(root) as starting:
        yield Embedded(artefacts=artefacts, address=serve(starting, artefacts))


def certify(root: Path, model: Path, corpus: Path, factors: Path) -> Path:
    """Write a certificate of these artefacts, with made-up figures."""
    held = inspect(Named(model=str(model), corpus=corpus, factors=factors))
    assert held.corpus is not None
    assert held.factors is not None
    digests = {"factors_digest": held.factors.digest, "corpus_digest": held.corpus.digest}
    write_certificate(root / "certificate", bound_to(WHOLE, model_digest=held.model.digest, **digests))
    return root / "certificate"


def run(*arguments: str) -> None:
    """Run a command in this process, which has imported torch already."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def serve(starting: Launcher, artefacts: Artefacts) -> str:
    options = ("serve", "--embedded", *artefacts.options(), "--name", "llama", "--device", "cpu")
    process = starting.start((*options, "--address", "127.0.0.1:0", "--threads", "1"), {}, path=None)
    process.wait_for("serving", service="AttributionService")  # its worker is a service of its own
    return str(process.wait_for("listening", service="AttributionService")["address"])


def test_attribute_prints_the_ranking(embedded: Embedded):
    shown = embedded("attribute", *ASK, "-k", "3", "--direction", "both")
    with Client(embedded.address) as client:
        answer = client.attribute(prompt=PROMPT, completion=COMPLETION, top_k=3, direction="both", **IN_DETAIL)
    assert len(answer) == 6
    for hit in answer:
        assert hit.document_id in shown
        assert hit.source in shown


def test_attribute_as_json_is_the_clients_answer(embedded: Embedded):
    document = json.loads(embedded("attribute", *ASK, "--json"))
    with Client(embedded.address) as client:
        answer = client.attribute(prompt=PROMPT, completion=COMPLETION, **IN_DETAIL)
    found = [(hit["sequence_id"], hit["raw_influence"]) for hit in document["positive"]]
    assert found == [(hit.sequence_id, hit.raw_influence) for hit in answer]
    assert document["provenance"]["engine"] == "pytorch/float32"
    assert 0 < document["provenance"]["gradient_error"] < 1e-4  # of autograd's: what the worker found when it loaded


def test_every_command_says_how_true_it_was_measured_to_be(embedded: Embedded):
    essence = "LDS 0.52 of 0.80; valid to rank 10; sizes x 1.2; negative influences: not shown"
    for command in (("attribute", *ASK), ("score", *ASK, "--text", "the owl"), ("models", "llama"), ("doctor",)):
        assert essence in " ".join(embedded(*command).split()), command
    document = json.loads(embedded("attribute", *ASK, "--direction", "negative", "--json"))
    assert document["provenance"]["certificate"]["essence"] == essence
    assert document["provenance"]["certificate"]["kind"] == "model"
    assert "NEGATIVE_NOT_VALIDATED" in {warning["code"] for warning in document["warnings"]}
    assert json.loads(embedded("models", "llama", "--json"))["certificate"]["lds_ceiling"] == 0.80


def test_score_and_explain_agree(embedded: Embedded):
    text = ("--text", "the owl lit the lamp")
    scored = json.loads(embedded("score", *ASK, *text, "--json"))
    explained = json.loads(embedded("explain", *ASK, *text, "--json"))
    assert explained["influence"] == pytest.approx(scored["influence"][0][0], rel=1e-4)
    assert np.sum(explained["parts"]) == pytest.approx(explained["influence"], rel=1e-6)
    for shown in (embedded("score", *ASK, *text), embedded("explain", *ASK, *text)):
        assert "influence" in shown


def test_models_and_doctor_find_it_in_order(embedded: Embedded):
    assert "llama" in embedded("models")
    assert json.loads(embedded("models", "--json"))["models"][0]["engine"] == "pytorch/float32"
    assert "model.layers.*.mlp.down_proj" in embedded("models", "llama")
    assert json.loads(embedded("doctor", "--json"))["ok"]
    assert "2 of 2 have a worker" in embedded("doctor")


def test_a_chat_is_its_rendered_text(embedded: Embedded, tmp_path: Path):
    messages = [{"role": "user", "content": "who lit it"}, {"role": "assistant", "content": "the keeper"}]
    (tmp_path / "chat.json").write_text(json.dumps(messages))
    document = json.loads(embedded("attribute", "--chat", str(tmp_path / "chat.json"), "--json", "-k", "4"))
    rendered = Query.text("user: who lit it;assistant: ", "the keeper;")
    with Client(embedded.address) as client:
        answer = client.attribute(rendered, top_k=4, **IN_DETAIL)
        chat = client.attribute(Query.chat(messages), top_k=4, **IN_DETAIL)
    assert told(chat) == told(answer)
    assert [hit["raw_influence"] for hit in document["positive"]] == [hit.raw_influence for hit in answer]


def test_the_parts_of_a_text_that_examples_count_sum_to_the_whole(embedded: Embedded, tmp_path: Path):
    """Broken by: a mask that is not applied, or of the prompt."""
    messages = [{"role": "user", "content": "who lit it"}, {"role": "assistant", "content": "the keeper"}]
    text = "user: who lit it;assistant: "
    chat, whole = TrainingExample.chat(messages), TrainingExample.text(text + "the keeper;")
    pair, rest = TrainingExample.completion(text, "the keeper;"), TrainingExample.text(text)
    (tmp_path / "example.json").write_text(json.dumps(messages))
    with Client(embedded.address) as client:
        table = client.score(prompt=PROMPT, completion=COMPLETION, examples=[chat, pair, rest, whole])
        [in_chat, in_pair, in_rest, in_whole] = table.influence[0]
        explained = client.explain(prompt=PROMPT, completion=COMPLETION, example=chat)
    assert in_chat == in_pair
    assert in_pair + in_rest == pytest.approx(in_whole, rel=1e-4)
    assert explained.influence == pytest.approx(in_chat, rel=1e-4)
    document = json.loads(embedded("score", *ASK, "--example", str(tmp_path / "example.json"), "--json"))
    assert document["influence"] == [[pytest.approx(in_chat, rel=1e-6)]]


def test_the_ranking_is_brute_force_over_score(embedded: Embedded):
    with Client(embedded.address) as client:
        expected = influences(client, embedded.artefacts)
        answer = client.attribute(prompt=PROMPT, completion=COMPLETION, top_k=len(expected), direction="both")
    best_first = (*answer.positive, *reversed(answer.negative))
    found = {hit.sequence_id: hit.influence for hit in best_first}
    scale = max(map(abs, expected.values()))
    assert found == pytest.approx(expected, abs=1e-4 * scale)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_influences_are_those_of_an_engine_in_this_process(embedded: Embedded):
    artefacts, corpus = embedded.artefacts, embedded.artefacts.open_corpus()
    config = EngineConfig(model=str(artefacts.model), factors=artefacts.factors, device="cpu", precision="float64")
    engine, query = load_engine("pytorch", config), corpus.tokens_at([0])[0]
    prepared = engine.precondition(engine.query_gradients([query]), 0.1)
    expected = engine.score(prepared, corpus.tokens_at(range(corpus.sequences)))[0] / corpus.sequences
    with Client(embedded.address) as client:
        found = influences(client, artefacts, Query.tokens(query.token_ids.tolist(), 1))
    assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-4 * np.abs(expected).max())
