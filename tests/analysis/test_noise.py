"""The noise that a study estimates is the noise that answers state."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.samples import student
from whence.analysis.noise import _FREEDOMS, noise_floor
from whence_service.shrinkage.distribution import Distribution
from whence_service.shrinkage.shrinkage import shrink


@pytest.mark.parametrize("freedom", [2.0, 3.0, 5.0, 10.0])
def test_it_is_what_the_service_estimates_from_the_same_influences(freedom):
    equal = []
    for seed in range(8):
        values = 0.01 * student(seed, freedom, 4000)
        values[:20] = np.abs(values[:20]) * 30
        floor, served = noise_floor(values, 1, None), shrink(Distribution.of(values.tolist()))
        assert floor.scale == pytest.approx(served.scale, rel=0.01)
        steps = [_FREEDOMS.index(freedom) for freedom in (floor.degrees_of_freedom, served.tails.freedom)]
        assert abs(steps[0] - steps[1]) <= 1  # the service counts influences in bins
        equal.append(steps[0] == steps[1])
    assert np.mean(equal) >= 0.6


def test_half_of_the_noise_is_beyond_its_median_size():
    floor = noise_floor(student(0, 3, 2000), 1, None)
    assert floor.beyond(float(np.median(np.abs(student(0, 3, 2000))))) == pytest.approx(0.5)
    assert floor.sizes(np.array([0.5, 0.01])) == pytest.approx([0.6745 * floor.scale, 5.8409 * floor.unit], rel=1e-3)
