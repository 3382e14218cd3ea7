"""Which text is the model's answer: that of the choice which the metric judges, or what was generated."""

from __future__ import annotations

import json

import pytest

from harness.conftest import asked, lines_of, table_of
from whence.harness.lm_eval import attribute
from whence.harness.lm_eval.answers import answer
from whence.harness.lm_eval.samples import parse


def answers(folder, task, metric=None, name="none"):
    samples = [parse(task, "", fields) for fields in lines_of(folder, task) if fields["filter"] == name]
    return [(sample, answer(sample, metric)) for sample in samples]


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("world_choice", "acc"),
        ("world_choice", "acc_norm"),
        ("world_mutual", "acc_norm"),
        ("world_mutual", "acc_bytes"),
        ("world_mutual", "acc_mutual_info"),
    ],
)
def test_the_chosen_choice_is_the_one_that_lm_eval_judged(saved, task, metric):
    found = answers(saved, task, metric)
    assert {sample.metrics[metric] for sample, _ in found} == {0.0, 1.0}
    for sample, one in found:
        gold = int(sample.target)
        assert (one.choice == gold) == (sample.metrics[metric] == 1.0)
        assert one.gold.continuation == sample.requests[gold].continuation
        assert one.completion == sample.requests[one.choice].continuation
        assert one.log_likelihood == sample.requests[one.choice].log_likelihood


def test_where_choices_are_prompts_the_chosen_prompt_is_asked(saved):
    for sample, one in answers(saved, "world_prompts", "acc"):
        best = max(sample.requests, key=lambda request: request.log_likelihood)
        assert (one.prompt, one.completion) == (best.prompt, best.continuation)
        assert one.gold is None  # the log does not say which


def test_a_generation_is_what_was_generated_and_not_what_a_filter_made_of_it(saved):
    for sample, one in answers(saved, "world_generate", "exact_match", "whole"):
        assert one.kind == "generation"
        assert one.completion == sample.requests[0].generated
    fields = lines_of(saved, "world_generate")[0]
    assert fields["resps"] == [[" Marrford"]]
    assert fields["filtered_resps"] == ["Marrford"]


def test_a_single_continuation_is_attributed_itself_and_a_whole_text_has_no_prompt(saved):
    for sample, one in answers(saved, "world_likelihood", "acc"):
        assert (one.kind, one.completion, one.gold.continuation) == ("likelihood", sample.target, sample.target)
    for sample, one in answers(saved, "world_rolling"):
        assert (one.kind, one.prompt, one.completion) == ("likelihood", "", sample.target)


def test_a_delimiter_does_not_count_where_the_length_of_choices_does():
    # "a bc" at -4.0 is better than "d" at -1.3 by its four characters, and would be worse by five against two.
    fields = {
        "doc_id": 0, "filter": "none", "target": "0", "metrics": ["acc_norm"], "acc_norm": 1.0,
        "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": " a bc"}, "gen_args_1": {"arg_0": "q", "arg_1": " d"}},
        "resps": [[["-4.0", "False"]], [["-1.3", "False"]]],
    }  # fmt: skip
    assert answer(parse("t", "", fields), "acc_norm").choice == 0
    assert answer(parse("t", "", fields), "acc_bytes").choice == 0
    assert answer(parse("t", "", fields), "acc").choice == 1


def test_more_than_ten_choices_keep_their_order():
    names = [f"gen_args_{n}" for n in sorted(range(12), key=str)]
    fields = {
        "doc_id": 0, "filter": "none", "target": "10", "metrics": ["acc"], "acc": 1.0,
        "arguments": {name: {"arg_0": "q", "arg_1": f" {name.rpartition('_')[2]}"} for name in names},
        "resps": [[[str(-1.0 if n == 10 else -2.0), "False"]] for n in range(12)],
    }  # fmt: skip
    assert answer(parse("t", "", fields), "acc").completion == " 10"


def test_prompts_of_a_chat_template_are_text_and_those_of_chat_apis_are_messages(client, service, chat, tmp_path):
    attribute(chat, client, tmp_path / "hits.jsonl", top_k=1)
    first = asked(service)["world_generate/0"].text
    assert first.prompt.startswith("<|endoftext|>user: ")
    assert first.prompt.endswith("\n<|endoftext|>assistant:")
    assert first.completion == " 44 hands"

    fields = lines_of(chat, "world_generate")[0]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "The capital?"}]
    fields["arguments"]["gen_args_0"]["arg_0"] = [json.dumps(messages)]
    (tmp_path / "samples_api.jsonl").write_text(json.dumps(fields) + "\n")
    attribute(tmp_path / "samples_api.jsonl", client, tmp_path / "api.jsonl", top_k=1)
    said = asked(service)["api/0"].chat.messages
    assert [(one.role, one.content) for one in said] == [
        ("system", "Be brief."), ("user", "The capital?"), ("assistant", " 44 hands"),
    ]  # fmt: skip


def test_nothing_generated_is_refused_and_ends_nothing(client, chat, tmp_path):
    rows = lines_of(chat, "world_generate")
    rows[1]["resps"] = [[""]]
    (tmp_path / "samples_t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = attribute(tmp_path / "samples_t.jsonl", client, tmp_path / "hits.jsonl", top_k=1)
    assert (report.tasks[0].attributed, report.tasks[0].refused) == (2, 1)
    [refused] = [row for row in table_of(tmp_path / "hits.jsonl") if row["error"]]
    assert refused["error"].startswith("EMPTY_COMPLETION")
