"""All checks together on a tiny model: what they say, what they refuse, and that they go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from validation.checks.subject import SEQUENCES, N, Subject, canary, queries, refit, training, write_corpus
from whence.errors import CorruptArtefactError, InvalidRequestError, MismatchError, NotFoundError
from whence.reasons import Reason
from whence_backends.validation.checks import CheckProgress, Checks, CheckStage, run_checks, to_json
from whence_backends.validation.checks.results import CHECKS_FILE, from_json, read

STAGES = list(CheckStage)


@pytest.fixture(scope="module")
def seen() -> list[CheckProgress]:
    return []


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checks")


@pytest.fixture(scope="module")
def checks(single: Subject, out: Path, seen: list[CheckProgress]) -> Iterator[Checks]:
    return run_checks(single.config(out), queries(), [canary("7")], seen.append)


def stages(seen: list[CheckProgress]) -> list[CheckStage]:
    return list(dict.fromkeys(at.stage for at in seen))


def test_another_label_seed_changes_something_and_not_much(checks: Checks):
    seed = checks.label_seed
    assert (seed.fitted_sequences, seed.sampled, seed.agreement.sequences) == (24, True, SEQUENCES)
    assert 0.5 < seed.agreement.spearman.worst < seed.agreement.spearman.median < 1
    assert seed.with_served.spearman.median > 0.5


def test_halves_of_the_data_agree_less_than_label_seeds(checks: Checks):
    assert checks.half_data.fitted_sequences == 12
    assert 0 < checks.half_data.agreement.spearman.mean < checks.label_seed.agreement.spearman.mean


def test_bfloat16_is_within_the_noise_of_labels(checks: Checks):
    precision = checks.precision
    assert (precision.served, precision.other, precision.agreement.sequences) == ("float32", "bfloat16", 30)
    assert 0.9 < precision.agreement.spearman.worst < 1
    assert precision.within_noise


def test_a_sequence_is_the_first_hit_of_itself(checks: Checks):
    (result,) = checks.canaries
    assert (result.documents[0].document, result.documents[0].rank, result.on_top) == ("7", 1, True)


def test_a_random_model_is_at_no_optimum(checks: Checks):
    assert checks.optimum.gradient > 2 * checks.optimum.by_chance > 0
    assert 0 < checks.optimum.influence < 1


def test_baselines_rank_the_same_sequences(checks: Checks):
    bm25, dot = checks.baselines
    assert (bm25.name, dot.name) == ("bm25", "dot_product")
    assert bm25.agreement.spearman.mean < dot.agreement.spearman.mean < 1
    assert all(1 <= rank <= SEQUENCES for rank in (*bm25.ranks_of_first, *dot.ranks_of_its_first))


def test_coverage_is_that_of_the_factors(checks: Checks):
    coverage = checks.coverage
    outside = sum(part.parameters for part in coverage.unattributed)
    assert coverage.attributed + outside == coverage.parameters
    assert coverage.gradient_error is not None
    assert coverage.gradient_error < 1e-3
    assert coverage.dead_layers == ()


def test_results_are_json_and_come_back(checks: Checks):
    document = json.loads(json.dumps(to_json(checks)))
    assert document["format"] == "whence.checks/1"
    assert from_json(Checks, document) == checks


def test_finished_checks_are_read_from_their_folder(checks: Checks, out: Path, tmp_path: Path):
    assert read(out) == checks
    with pytest.raises(NotFoundError, match="whence validate check"):
        read(tmp_path)
    (tmp_path / CHECKS_FILE).write_text('{"format": "whence.checks/0"}')
    with pytest.raises(CorruptArtefactError, match=r"its format is 'whence.checks/0'"):
        read(tmp_path)


def test_progress_only_grows_and_ends(checks: Checks, seen: list[CheckProgress]):
    assert stages(seen) == STAGES
    order = [(STAGES.index(at.stage), at.done) for at in seen]
    assert order == sorted(order)
    assert all(0 <= at.done <= at.total for at in seen)
    assert {at.stage: at.done == at.total for at in seen} == dict.fromkeys(STAGES, True)


def test_checks_that_are_done_are_not_done_again(checks: Checks, single: Subject, out: Path):
    again: list[CheckProgress] = []
    assert run_checks(single.config(out), queries(), [canary("7")], again.append) == checks
    assert again == []


def test_other_queries_are_checked_anew(checks: Checks, single: Subject, out: Path):
    assert run_checks(single.config(out), queries(2)).queries == 2
    assert checks.queries == 4


def test_killed_checks_lose_the_stage_in_hand(checks: Checks, single: Subject, tmp_path: Path):
    def kill(at: CheckProgress) -> None:
        if at.stage is CheckStage.STEP and at.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_checks(single.config(tmp_path), queries(), [canary("7")], kill)
    again: list[CheckProgress] = []
    assert run_checks(single.config(tmp_path), queries(), [canary("7")], again.append) == checks
    assert stages(again) == [CheckStage.STEP, CheckStage.OPTIMUM]


def test_a_damaged_result_is_computed_again(checks: Checks, single: Subject, out: Path):
    for path in (out / "kept").glob("*"):
        path.write_bytes(path.read_bytes()[:100])
    assert run_checks(single.config(out), queries(), [canary("7")]) == checks


def test_labels_of_the_data_know_no_seed(subject: Subject, tmp_path: Path):
    empirical = refit(subject, tmp_path / "factors", labels="empirical", precision="float32")
    checks = run_checks(empirical.config(tmp_path / "out"), queries())
    seed = checks.label_seed
    assert not seed.sampled
    assert (seed.agreement.overlap.worst, seed.agreement.spearman.worst, seed.agreement.first_changed) == (1, 1, 0)
    assert checks.precision.yardstick.spearman.worst < 1  # that of halves


def test_factors_in_bfloat16_are_compared_with_float32(subject: Subject, tmp_path: Path):
    narrow = refit(subject, tmp_path / "factors", precision="bfloat16")
    checks = run_checks(narrow.config(tmp_path / "out"), queries())
    assert (checks.precision.served, checks.precision.other) == ("bfloat16", "float32")
    assert checks.precision.agreement.spearman.worst < 1
    assert checks.steps.bands[0].slope == pytest.approx(1, abs=0.3)


def small(subject: Subject, folder: Path, count: int) -> Subject:
    """The subject with a corpus of so few sequences, and factors of it."""
    corpus = write_corpus(folder / "data", subject.model, count)
    other = Subject(model=subject.model, corpus=corpus, factors=subject.factors)
    return refit(other, folder / "factors", precision="float32")


def test_a_corpus_smaller_than_every_sample_is_checked(subject: Subject, tmp_path: Path):
    tiny = small(subject, tmp_path, 5)
    checks = run_checks(tiny.config(tmp_path / "out", fit_sequences=500, optimum_sequences=500), queries(1))
    assert (checks.scanned, checks.label_seed.fitted_sequences, checks.half_data.fitted_sequences) == (5, 5, 2)
    assert checks.optimum.by_chance == 0  # of the whole corpus


def test_a_corpus_that_cannot_be_halved_is_refused(subject: Subject, tmp_path: Path):
    tiny = small(subject, tmp_path, 3)
    with pytest.raises(InvalidRequestError, match="3 sequences; expected at least 4") as caught:
        run_checks(tiny.config(tmp_path / "out"), queries())
    assert caught.value.reason == Reason.TOO_FEW_SEQUENCES


def test_no_query_is_refused(subject: Subject, tmp_path: Path):
    with pytest.raises(InvalidRequestError, match="no queries") as caught:
        run_checks(subject.config(tmp_path), [])
    assert caught.value.reason == Reason.MISSING_QUERIES


def test_a_document_that_is_not_there_is_named(subject: Subject, tmp_path: Path):
    with pytest.raises(NotFoundError, match="no document 'the owl'") as caught:
        run_checks(subject.config(tmp_path), queries(), [canary("7", "the owl")])
    assert caught.value.reason == Reason.DOCUMENT_NOT_FOUND


def test_factors_of_another_model_are_refused(subject: Subject, with_biases: Subject, tmp_path: Path):
    other = Subject(model=subject.model, corpus=subject.corpus, factors=with_biases.factors)
    with pytest.raises(MismatchError):
        run_checks(other.config(tmp_path), queries())


def test_the_subject_is_what_these_tests_say(checks: Checks):
    assert (checks.queries, checks.sequences, checks.scanned) == (4, len(training()), SEQUENCES)
    assert N > 100 * SEQUENCES
