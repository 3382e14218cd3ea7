"""Of what tells signal from noise."""

from __future__ import annotations

from breakage import FRONT, WORKER, Breakage

SHRINKAGE = "service/whence_service/shrinkage"

BREAKAGES = (
    Breakage(
        name="noise: half of its size",
        file=f"{SHRINKAGE}/noise.py",
        old="_NORMAL: Final = 1.4826022185056018",
        new="_NORMAL: Final = 0.7413",
        tests="tests/shrinkage/test_noise.py",
        only="standard_deviation",
    ),
    Breakage(
        name="noise: tails that are taken to be normal",
        file=f"{SHRINKAGE}/tails.py",
        old="map(_most_likely, enough)",
        new="[Tails(50.0)]",
        tests="tests/shrinkage/test_shrinkage.py",
        only="pure_noise",
    ),
    Breakage(
        name="noise: the tails of the sign that has the signals",
        file=f"{SHRINKAGE}/tails.py",
        old="return max(map(_most_likely, enough)",
        new="return min(map(_most_likely, enough)",
        tests="tests/shrinkage/test_shrinkage.py",
    ),
    Breakage(
        name="noise: a larger influence that is less sure",
        file=f"{SHRINKAGE}/sureness.py",
        old="for size in sizes), max)",
        new="for size in sizes), lambda _, chance: chance)",
        tests="tests/shrinkage/test_shrinkage.py",
        only="rise_with",
    ),
    Breakage(
        name="noise: sequences without a gradient that count",
        file=f"{SHRINKAGE}/distribution.py",
        old="folded.pop(0, None)",
        new="",
        tests="tests/shrinkage/test_noise.py",
        only="gradient",
    ),
    Breakage(
        name="noise: a fit that ends after its first step",
        file=f"{SHRINKAGE}/likelihood.py",
        old="_MOST: Final = 100",
        new="_MOST: Final = 1",
        tests="tests/shrinkage/test_shrinkage.py",
        only="maximum_of_the_likelihood",
    ),
    Breakage(
        name="noise: influences taken whole, whatever the chance",
        file=f"{SHRINKAGE}/shrinkage.py",
        old="return influence * self._sureness(influence).chance(self._size(influence))",
        new="return influence",
        tests="tests/shrinkage/test_shrinkage.py",
        only="close_to_the_best",
    ),
    Breakage(
        name="noise: influences counted by exponent alone",
        file=f"{WORKER}/scoring/influence_counts.py",
        old="np.uint64(48)",
        new="np.uint64(52)",
        tests="tests/worker/scoring/test_influence_counts.py",
        only="plain_python",
    ),
    Breakage(
        name="noise: signals that are not divided by N",
        file=f"{FRONT}/responses/noise.py",
        old="hit.signal = scale.influence(noise.shrinkage.signal(hit.raw_influence))",
        new="hit.signal = noise.shrinkage.signal(hit.raw_influence)",
        tests="tests/frontend/search/test_noise.py",
        only="follow_from",
    ),
    Breakage(
        name="noise: that of the workers that count",
        file=f"{FRONT}/search/distributions.py",
        old="if any(len(answer.distributions) != queries for answer in latest):",
        new="if not (latest := [answer for answer in latest if len(answer.distributions) == queries]):",
        tests="tests/frontend/search/test_noise.py",
        only="one_worker",
    ),
    Breakage(
        name="noise: hits below the threshold where only others were asked for",
        file=f"{FRONT}/responses/noise.py",
        old="    if significant_only:",
        new="    if False:",
        tests="tests/frontend/search/test_noise.py",
        only="parts_take",
    ),
)
