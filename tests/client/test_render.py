"""What is printed: marks, strips, heat maps; pure functions from results to text."""

from __future__ import annotations

import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import whence
from whence import models, results
from whence.cli.checks.check import Outcome
from whence.cli.checks.server import check_models
from whence.cli.render import attribution as render_attribution
from whence.cli.render import checks as render_doctor
from whence.cli.render import explanation as render_explain
from whence.cli.render import failure as render_failure
from whence.cli.render import groups as render_groups
from whence.cli.render import models as render_models
from whence.cli.render import scores as render_score
from whence.cli.render import text as render_text
from whence.display import passages
from whence.terminal import printable

QUESTION = {"prompt": "The capital of Durrow is", "completion": " Brelary"}


def shown(renderable, width: int = 100, *, colour: bool = False) -> str:
    system = "truecolor" if colour else None
    console = Console(file=io.StringIO(), width=width, color_system=system, force_terminal=colour, highlight=False)
    console.print(renderable)
    return console.file.getvalue()


def tokens(*pairs: tuple[str, float]) -> list[results.TokenInfluence]:
    out, start = [], 0
    for text, influence in pairs:
        out.append(results.TokenInfluence(text=text, start=start, end=start + len(text), influence=influence))
        start += len(text)
    return out


@pytest.fixture
def client(target):
    with whence.Client(target) as client:
        yield client


@pytest.fixture
def ranking(client):
    return client.attribute(**QUESTION, direction="both", include_layers=True, include_tokens=True)


def test_a_ranking_shows_each_hit(ranking):
    text = shown(render_attribution.attribution(ranking, plain=True), width=120)
    for hit in ranking:
        assert hit.sequence_id in text
        assert f"{hit.influence:+.3g}" in text
    assert "«Brelary»" in text
    assert "▂" in text or "▄" in text


def test_a_ranking_says_where_it_comes_from(ranking):
    text = shown(render_attribution.attribution(ranking, plain=True), width=200)
    for expected in (
        "N = 1,000",
        "damping 0.1",
        "aaaaaaaaaaaa",
        "score 250 ms",
        "SHORT_CORPUS",
        "Influence is in nats, to first order.",
    ):
        assert expected in text


def test_hits_that_promise_too_much_together_are_said_to(ranking):
    """Broken by: adding nothing up."""
    assert "Together" not in shown(render_attribution.attribution(ranking, plain=True))
    hits = tuple(dataclasses.replace(hit, influence=0.7) for hit in ranking.positive)
    text = shown(render_attribution.attribution(dataclasses.replace(ranking, positive=hits), plain=True), width=200)
    assert "Together these hits promise +1.4 nats, where 1.25 would make the output certain" in text
    assert "(+0.7)" not in text


def test_negative_hits_are_marked_unless_they_are_validated(ranking):
    title = "Made the output less likely"
    doubt = results.AnswerWarning(code="NEGATIVE_NOT_VALIDATED", message="no certificate")
    negative = dataclasses.replace(ranking, positive=(), negative=ranking.positive)
    assert f"{title} (not validated)" not in shown(render_attribution.attribution(negative, plain=True))
    doubted = dataclasses.replace(negative, warnings=(doubt,))
    assert f"{title} (not validated)" in shown(render_attribution.attribution(doubted, plain=True))


def test_negative_sums_of_groups_are_marked_unless_they_are_validated(ranking):
    def group(name: str, influence: float) -> results.GroupInfluence:
        return results.GroupInfluence(name=name, sequences=9, influence=influence, standard_error=0.1, sampled=5)

    doubt = results.AnswerWarning(code="NEGATIVE_NOT_VALIDATED", message="no certificate")
    shared = {field.name: getattr(ranking, field.name) for field in dataclasses.fields(results.Answer)}
    for warnings, marked in (((doubt,), True), ((), False)):
        answer = results.GroupInfluences(
            **{**shared, "warnings": warnings}, groups=(group("a", 2.0), group("b", -1.5)), total=group("", 0.5),
            log_likelihood=-1.0,
        )  # fmt: skip
        text = shown(render_groups.group_influences(answer), width=200)
        assert ("-1.5?" in text, "?: negative influence is not validated" in text) == (marked, marked)
        assert "+2?" not in text


def test_groups_show_signals_with_intervals_and_those_with_most_of_the_signal_have_no_upper_end(ranking):
    """Broken by: bars of influence beside signals; an upper end of None."""

    def group(name: str, signal: float, low: float, high: float | None) -> results.GroupInfluence:
        return results.GroupInfluence(
            name=name, sequences=9, influence=-7.0, standard_error=0.1, sampled=5, signal=signal, signal_low=low,
            signal_high=high,
        )  # fmt: skip

    shared = {field.name: getattr(ranking, field.name) for field in dataclasses.fields(results.Answer)}
    answer = results.GroupInfluences(
        **shared, groups=(group("a", 8.0, 3.0, None), group("b", 4.0, -1.5, 9.5)), total=group("", 12.0, 5.0, None),
        log_likelihood=-1.0,
    )  # fmt: skip
    text = shown(render_groups.group_influences(answer), width=200)
    row = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "+3 to …" in row["a"]
    assert "-1.5 to +9.5" in row["b"]
    assert (row["a"].count("█"), row["b"].count("█")) == (12, 6)
    assert "the group has most of the signal" in " ".join(text.split())
    wide = group("travel-diary", -12.34, -123.45, 123.45)
    narrow = dataclasses.replace(answer, groups=(wide,))
    assert "travel-" in shown(render_groups.group_influences(narrow), width=80)


def test_a_ranking_says_how_true_it_was_measured_to_be(ranking):
    """Broken by: saying nothing where there is no certificate."""
    assert "Influences were not validated for this model" in shown(render_attribution.attribution(ranking, plain=True))
    provenance = dataclasses.replace(ranking.provenance, certificate=CERTIFICATE.summary)
    certified = dataclasses.replace(ranking, provenance=provenance)
    assert "Certificate abcdef: LDS 0.52 of 0.80" in shown(render_attribution.attribution(certified, plain=True))


def test_influences_outside_the_linear_range_are_in_brackets_and_explained(ranking):
    """Broken by: printing +2,000 nats beside a log-likelihood of -8.6 as if it were one."""
    first, *rest = ranking.positive
    large = dataclasses.replace(ranking, positive=(dataclasses.replace(first, influence=2000.0), *rest))
    text = shown(render_attribution.attribution(large, plain=True), width=120)
    assert "(+2e+03)" in text
    assert "too large to be read as nats" in text
    assert f"({rest[0].influence:+.3g})" not in text
    assert "too large" not in shown(render_attribution.attribution(ranking, plain=True), width=120)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_console(ranking, width):
    for line in shown(render_attribution.attribution(ranking, plain=True), width=width).splitlines():
        assert len(line) <= width


def test_without_colour_there_are_no_escape_codes(ranking):
    assert "\x1b" not in shown(render_attribution.attribution(ranking, plain=True))


def test_with_colour_there_are_no_brackets(ranking):
    text = shown(render_attribution.attribution(ranking, plain=False), colour=True)
    assert "«" not in text
    assert "\x1b[" in text


def with_noise(ranking: results.Attribution, *significances: float) -> results.Attribution:
    """Return the ranking with positive hits of these significances."""
    hits = tuple(
        dataclasses.replace(hit, signal=hit.influence / 2, significance=significance)
        for hit, significance in zip(ranking.positive, significances, strict=True)
    )
    noise = results.Noise(
        scale=0.25,
        degrees_of_freedom=2.5,
        positive_threshold=0.5,
        negative_threshold=None,
        sequences=4000,
        positive_significant=17.0,
        negative_significant=0.0,
    )
    told = sum(significance >= 0.95 for significance in significances)
    return dataclasses.replace(
        ranking, positive=hits, negative=(), noise=noise, positive_significant=told, negative_significant=0
    )


@pytest.mark.parametrize(
    ("significances", "line"),
    [
        ((0.999, 0.96), "All of these are told from noise, of about 17 that are."),
        ((0.999, 0.9499), "After rank 1 nothing is told from noise."),
        ((0.9, 0.6), "None of these is told from noise."),
    ],
)
def test_a_ranking_says_where_its_noise_begins(ranking, significances, line):
    text = shown(render_attribution.attribution(with_noise(ranking, *significances), plain=True), width=120)
    assert line in text
    assert "Noise ±0.25 nats, with tails of 2.5 degrees of freedom, from 4,000 influences." in text


def test_noise_of_a_sample_is_told_from_that_of_all(ranking):
    known = with_noise(ranking, 0.999, 0.96)
    sampled = dataclasses.replace(known, noise=dataclasses.replace(known.noise, sequences=528, sampled=128))
    text = shown(render_attribution.attribution(sampled, plain=True), width=120)
    assert "from 528 influences, 128 of them sampled" in text


def test_significance_is_shown_below_the_signal_and_never_rounded_up(ranking):
    text = shown(render_attribution.attribution(with_noise(ranking, 0.999, 0.9499), plain=True), width=120)
    assert "signal" in text
    assert ">99 %" in text
    assert "94 %" in text
    assert f"{ranking.positive[0].influence / 2:+.3g}" in text


def test_a_ranking_whose_noise_is_unknown_has_no_signal(ranking):
    text = shown(render_attribution.attribution(ranking, plain=True), width=120)
    assert "signal" not in text
    assert "How much of this is noise is not known." in text


def test_a_ranking_without_hits_says_so(ranking):
    import dataclasses

    empty = dataclasses.replace(ranking, positive=(), negative=())
    assert "no sequence" in shown(render_attribution.attribution(empty, plain=True))
    nothing_found = results.Recall(recall=0.0, margin=None, candidates=9, reranked=9)
    lacking = dataclasses.replace(ranking, positive=(), positive_recall=nothing_found)
    text = shown(render_attribution.attribution(lacking, plain=True))
    assert "Made the output more likely: no sequence" in text
    assert "About 0% of the truly most positive are here" in " ".join(text.split())


def test_a_score_table_names_given_texts(client):
    table = client.score(**QUESTION, sequence_ids=["letters/durrow-1#0"], texts=["we saw Brelary"])
    text = shown(render_score.scores(table))
    assert "letters/durrow-1#0" in text
    assert "text 1" in text


def test_an_explanation_shows_the_strongest_token_and_layer_first(client):
    result = client.explain(**QUESTION, sequence_id="letters/durrow-1#0")
    text = shown(render_explain.explanation(result, plain=True, width=100))
    assert "«Brelary»" in text
    assert text.index("·Brelary") < text.index("·Greta,")
    assert text.rindex("lm_head") < text.rindex("layers.0.mlp.up")


def test_only_the_strongest_tokens_are_marked():
    line = tokens(("a", 0.1), (" b", 1.0), (" c", -0.9), (" d", 0.0))
    assert render_text.marked("a b c d", line, plain=True).plain == "a «b» ‹c› d"  # noqa: RUF001  # marks, not quotation


def test_neighbours_share_their_marks():
    line = tokens(("Bre", 1.0), ("lary", 0.5), (" is", 0.0))
    assert render_text.marked("Brelary is", line, plain=True).plain == "«Brelary» is"


def test_a_stronger_token_has_a_stronger_ground():
    marked = render_text.marked("ab", tokens(("a", 1.0), ("b", 0.3)), plain=False)
    assert [span.style for span in marked.spans] == [render_text._POSITIVE[2], render_text._POSITIVE[0]]


@given(st.lists(st.tuples(st.text(max_size=5), st.floats()), max_size=12), st.integers(1, 40))
def test_marks_lose_no_character(pairs, limit):
    line, text = tokens(*pairs), "".join(text for text, _ in pairs)
    window = passages.excerpt(text, line, limit)
    marked = render_text.marked(text, line, plain=False, window=window).plain
    body = marked[window.start > 0 : len(marked) - (window.end < len(text))]
    assert body == printable(text[window.start : window.end])
    assert window.end - window.start == min(len(text), limit)


def test_the_excerpt_holds_the_strongest_passage():
    text = "x" * 1000 + "HERE" + "y" * 1000
    line = tokens(("x" * 1000, 0.0), ("HERE", 5.0), ("y" * 1000, 0.1))
    window = passages.excerpt(text, line, 100)
    assert "HERE" in text[window.start : window.end]


@given(st.text())
def test_nothing_printed_can_steer_a_terminal(text):
    safe = printable(text)
    assert len(safe) == len(text)
    assert safe.isprintable() or not set(safe) & set("\x1b\x07\r\n\u202e\x9b\x00")


def test_a_hostile_source_is_printed_harmlessly(ranking):
    import dataclasses

    hostile = dataclasses.replace(ranking.positive[0], source="\x1b[31mred\x1b]0;title\x07", text="[bold]\x1b[2J")
    ranking = dataclasses.replace(ranking, positive=(hostile,))
    text = shown(render_attribution.attribution(ranking, plain=True))
    assert "\x1b" not in text
    assert "[bold]" in text


def test_a_strip_has_a_block_for_each_depth():
    layers = {"model.layers.0.up": 1.0, "model.layers.0.down": 1.0, "model.layers.1.up": -8.0, "lm_head": 0.0}
    assert passages.by_depth(layers) == {"0": 2.0, "1": -8.0, "lm_head": 0.0}
    assert render_text.strip(layers) == "▃█▁"


def test_a_strip_of_many_layers_is_squeezed():
    assert len(render_text.strip({f"layers.{depth}.mlp": 1.0 for depth in range(100)})) <= render_text.STRIP_WIDTH


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_strip_without_scale_is_flat(value):
    assert render_text.strip({"layers.0": value, "layers.1": value}) == "▁▁"


@given(st.lists(st.integers(-9, 9), max_size=50), st.integers(1, 20))
def test_squeezing_keeps_the_total(row, width):
    cells = render_explain.squeeze(row, width)
    assert len(cells) <= width
    assert sum(cells) == sum(row)


def test_a_heat_map_of_many_layers_has_a_row_for_each_depth(client):
    import dataclasses

    result = client.explain(**QUESTION, text="a b")
    names = tuple(f"model.layers.{depth}.{name}" for depth in range(20) for name in ("up", "down"))
    deep = dataclasses.replace(result, layers=names, parts=((1.0, -1.0),) * 40)
    lines = render_explain.heat_map(deep, plain=True, width=80).plain.splitlines()
    assert len(lines) == 21
    assert lines[3].endswith("model.layers.3 █#")


def test_layers_are_grouped_by_kind_and_size(client):
    groups = render_models.grouped(client.model().layers)
    assert [(group.pattern, group.layers) for group in groups] == [
        ("layers.*.mlp.up", 2),
        ("layers.*.mlp.down", 2),
        ("lm_head", 1),
    ]


def test_a_model_shows_its_digests_shards_and_warnings(client):
    text = shown(render_models.details(client.model()))
    for expected in ("bb" * 32, "360 (36.0%)", "shard-1", "ATTENTION_NOT_ATTRIBUTED"):
        assert expected in text


def test_no_models_is_a_hint():
    assert "whence doctor" in shown(render_models.overview([]))


def test_an_error_shows_message_reason_and_details():
    error = whence.InvalidRequestError("bad [red]text[/]", reason="BAD", field="query", model="toy")
    text = shown(render_failure.failure(error, "try this"))
    for expected in ("Error: bad [red]text[/]", "BAD", "field=query", "model=toy", "try this"):
        assert expected in text


def model(*replicas: int) -> models.Model:
    limits = models.Limits(max_query_tokens=1, max_top_k=1, max_queries=1, max_score_sequences=1)
    shards = tuple(models.Shard(name=f"shard-{i}", replicas=count) for i, count in enumerate(replicas))
    numbers = dict.fromkeys(
        ("parameters", "attributed_parameters", "corpus_sequences", "corpus_tokens", "training_set_size"), 0
    )
    texts = dict.fromkeys(("name", "model_digest", "factors_digest", "corpus_digest", "engine"), "toy")
    return models.Model(
        **numbers, **texts, layers=(), default_damping_factor=0.1, limits=limits, shards=shards, warnings=()
    )


CERTIFICATE = whence.Certificate(
    digest="blake3:abcdef", essence="LDS 0.52 of 0.80", kind="model", measured_model="toy", date="2026-11-26",
    method="40 halves", machine="2 cores", whence_version="0.1.0", damping_factor=0.1, negative_validated=False,
)  # fmt: skip


def test_a_model_without_a_certificate_is_said_to_be_not_validated():
    assert "not validated" in shown(render_models.details(model(1)))
    assert "not validated" in shown(render_models.overview([model(1)]))
    check = next(check for check in check_models([model(1)]) if check.name == "toy: validation")
    assert (check.outcome, check.fact) == (Outcome.WARNING, "not validated")
    assert "--certificate" in check.advice


@pytest.mark.parametrize(("kind", "outcome"), [("model", Outcome.OK), ("proxy", Outcome.WARNING)])
def test_a_certificate_is_in_order_unless_it_is_a_proxys(kind, outcome):
    certificate = dataclasses.replace(CERTIFICATE, kind=kind)
    served = dataclasses.replace(model(1), certificate=certificate)
    assert "LDS 0.52 of 0.80" in shown(render_models.details(served))
    check = next(check for check in check_models([served]) if check.name == "toy: validation")
    assert (check.outcome, check.fact) == (outcome, "LDS 0.52 of 0.80")


def test_an_uncovered_shard_fails_the_check():
    *_, last = check_models([model(1, 0)])
    assert last.outcome is Outcome.FAIL
    line = render_doctor.check(last).plain
    assert line.startswith("fail")
    assert "shard-1" in line
    assert "try:" in line


def test_covered_shards_pass_the_check():
    served = dataclasses.replace(model(1, 2), certificate=CERTIFICATE)
    assert {check.outcome for check in check_models([served])} == {Outcome.OK}


def test_a_model_without_parameters_has_no_share():
    assert model().attributed_share == 0.0
