"""In how few sequences influences are: shares of totals."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.samples import pareto, student
from whence.analysis import Concentration, concentration
from whence.errors import InvalidRequestError


def shares(study):
    return [share.influence for share in study.curve]


def test_equal_values_are_the_diagonal():
    study = concentration([0.25] * 777)
    assert shares(study) == pytest.approx([share.fraction for share in study.curve])
    assert study.half == 389


def test_a_share_is_the_sum_of_the_largest_over_the_total():
    values = student(0, 3, 4000)
    study = concentration(values)
    positive = np.sort(values[values > 0])[::-1]
    assert study.top.influence == pytest.approx(positive[:40].sum() / positive.sum())
    assert study.curve[-2].influence == pytest.approx(positive[:400].sum() / positive.sum())
    assert (study.curve[0].influence, study.curve[-1].influence) == (0, 1)
    assert positive[: study.half].sum() >= positive.sum() / 2 > positive[: study.half - 1].sum()


def test_negative_influences_count_as_sequences_and_not_in_the_total():
    values = pareto(1, 2.5, 1000)
    alone, both = concentration(values), concentration([*values, *[-5.0] * 1000])
    assert both.total == alone.total == pytest.approx(values.sum())
    assert both.half == alone.half
    of_twenty = np.sort(values)[-20:].sum() / values.sum()  # 1 % of 2,000
    assert both.top.influence == pytest.approx(of_twenty)
    assert concentration(-values, sign=-1).total == -alone.total


@pytest.mark.parametrize("factor", [1e-9, 1e6])
def test_the_scale_does_not_matter(factor):
    values = student(2, 3, 2000)
    plain, scaled = concentration(values), concentration(factor * values)
    assert shares(scaled) == pytest.approx(shares(plain))
    assert scaled.top.noise_high == pytest.approx(plain.top.noise_high)
    assert (scaled.half, scaled.half_of_noise) == (plain.half, plain.half_of_noise)


def test_noise_is_as_concentrated_as_noise():
    studies = [concentration(student(seed, 3, 2000)) for seed in range(30)]
    assert np.mean([study.differs_from_noise for study in studies]) <= 0.2


def test_influences_in_few_sequences_differ_from_noise():
    values = student(3, 5, 2000)
    values[:10] = 100.0
    study = concentration(values)
    assert study.differs_from_noise
    assert study.top.influence > study.top.noise_high
    assert study.half < study.half_of_noise / 10


def test_signals_have_shares_of_their_own_total():
    values = student(4, 3, 1000)
    signals = np.where(values > np.sort(values)[-6], values, 0.0)  # the five largest
    study = concentration(values, signals=signals)
    assert study.top.signal == pytest.approx(1)
    assert concentration(values).top.signal is None
    assert concentration(values, signals=np.zeros(1000)).top.signal is None


@pytest.mark.parametrize(
    ("values", "signals", "reason"),
    [
        ([1.0] * 49, None, "TOO_FEW_INFLUENCES"),
        ([-1.0] * 500, None, "TOO_FEW_INFLUENCES"),
        ([1.0] * 60 + [float("nan")], None, "INVALID_INFLUENCES"),
        ([1.0] * 60, [1.0] * 59, "INVALID_INFLUENCES"),
        ([1.0] * 60, [float("nan")] * 60, "INVALID_INFLUENCES"),
    ],
)
def test_what_has_no_shares_is_refused(values, signals, reason):
    with pytest.raises(InvalidRequestError) as caught:
        concentration(values, signals=signals)
    assert caught.value.reason == reason


def test_a_result_is_one_line_and_plain_data():
    study = concentration(student(5, 3, 500), query_id="capital")
    assert repr(study).startswith("Concentration('capital': 1 % of 500 sequences have ")
    assert "\n" not in repr(study)
    assert Concentration.from_dict(study.to_dict()) == study
    assert list(study.to_pandas()["influence"]) == shares(study)
