"""Of the statistics of a validation."""

from __future__ import annotations

from breakage import REPORT, STATISTICS, Breakage

_TESTS = "tests/validation/statistics"

BREAKAGES = (
    Breakage(
        name="equal values ranked by their place",
        file=f"{STATISTICS}/correlation.py",
        old="sorted_rows[:, 1:] != sorted_rows[:, :-1]",
        new="True",
        tests=f"{_TESTS}/test_correlation.py",
    ),
    Breakage(
        name="an error of queries alone, as if runs were not shared",
        file=f"{STATISTICS}/jackknife.py",
        old="over_queries + max(0.0, over_runs - twice)",
        new="over_queries",
        tests=f"{_TESTS}/test_jackknife.py",
    ),
    Breakage(
        name="the noise of a correlation counted three times, as a joint bootstrap does",
        file=f"{STATISTICS}/jackknife.py",
        old="over_queries + max(0.0, over_runs - twice)",
        new="over_queries + over_runs + twice",
        tests=f"{_TESTS}/test_lds.py",
        only="true_score",
    ),
    Breakage(
        name="sums of scores that rounding ranks",
        file=f"{STATISTICS}/lds.py",
        old="_TIE: Final = 1e-12",
        new="_TIE: Final = 1e-20",
        tests=f"{_TESTS}/test_lds.py",
        only="says_nothing",
    ),
    Breakage(
        name="a ceiling of the reliability, not of its root",
        file=f"{STATISTICS}/ceiling.py",
        old="return math.sqrt(1 / (1 + (1 / share - 1) * noise)) if",
        new="return 1 / (1 + (1 / share - 1) * noise) if",
        tests=f"{_TESTS}/test_ceiling.py",
    ),
    Breakage(
        name="a variance of effects without its degrees of freedom",
        file=f"{STATISTICS}/effects.py",
        old="np.maximum(count - 1, 1)",
        new="np.maximum(count, 1)",
        tests=f"{_TESTS}/test_effects.py",
    ),
    Breakage(
        name="a last hit that is the last but one",
        file=f"{STATISTICS}/ranked.py",
        old="slice(total + first, total + last + 1)",
        new="slice(total + first - 1, total + last)",
        tests=f"{_TESTS}/test_effects.py",
    ),
    Breakage(
        name="certainty where twelve of twelve are right",
        file=f"{STATISTICS}/shares.py",
        old="return wilson(share, float(np.clip(independent, queries, total)))",
        new="return wilson(share, 1e9 if not variance else independent)",
        tests=f"{_TESTS}/test_estimate.py",
    ),
    Breakage(
        name="claims held against measurements without their noise",
        file=f"{STATISTICS}/calibration.py",
        old="np.sqrt(deviation**2 + effects.standard_errors[usable] ** 2)",
        new="deviation",
        tests=f"{_TESTS}/test_calibration.py",
    ),
    Breakage(
        name="intervals of groups held against losses without the noise of seeds",
        file=f"{STATISTICS}/groups.py",
        old="noise = student_quantile(measured.degrees) * measured.standard_errors",
        new="noise = np.zeros_like(measured.standard_errors)",
        tests=f"{_TESTS}/test_groups.py",
    ),
    Breakage(
        name="a ceiling of single runs where the mean of two was measured",
        file=f"{REPORT}/build.py",
        old="[names.count(run.name) for run in mean.runs]",
        new="[1]",
        tests="tests/validation/report",
    ),
    Breakage(
        name="sums over the sequences that a run was trained on, in place of those that it lacks",
        file=f"{REPORT}/build.py",
        old="absent = ~without",
        new="absent = without",
        tests="tests/validation/report",
    ),
    Breakage(
        name="a removal held against the models of everything without what these share",
        file=f"{STATISTICS}/removals.py",
        old="math.hypot(estimate.standard_error, math.sqrt(shared))",
        new="estimate.standard_error",
        tests=f"{_TESTS}/test_removals.py",
    ),
    Breakage(
        name="a removal that is measured at another query",
        file=f"{REPORT}/removed.py",
        old="runs.queries[rows, column[removal.query]]",
        new="runs.queries[rows, 0]",
        tests="tests/validation/report",
    ),
    Breakage(
        name="the last documents of a ranking removed in place of the first",
        file="backends/whence_backends/validation/removals/planning.py",
        old="mask[places[:count]]",
        new="mask[places[-count:]]",
        tests="tests/validation/removals/test_planning.py",
    ),
    Breakage(
        name="memorisation of the effect on other sequences",
        file=f"{STATISTICS}/memorisation.py",
        old="(of_measured * of_members).sum(axis=0)",
        new="(of_measured * np.roll(of_members, 1, axis=1)).sum(axis=0)",
        tests=f"{_TESTS}/test_memorisation.py",
    ),
)
