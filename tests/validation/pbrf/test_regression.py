"""The response function of regression nets, against dense solves and against its own limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from small_nets import correlated_inputs, deep_linear_net, ekfac, fisher_traces
from validation.pbrf.regression import Subject, rows, sampled_factors
from whence_backends.validation.pbrf.agreement import agreements
from whence_backends.validation.pbrf.newton import Effort
from whence_backends.validation.pbrf.objective import Pull
from whence_backends.validation.pbrf.responses import PointResponses

EXACT = Effort(tolerance=1e-9, steps=90)
COPIES = (1.0, 0.5)


def linear_subject() -> Subject:
    """One linear layer, whose Gauss-Newton matrix is A ⊗ I: EK-FAC is exact."""
    net, layers = deep_linear_net(5, 3, bias=True)
    inputs = correlated_inputs(30, 5)
    factors = ekfac(tuple(layer.spec for layer in layers), _whole(fisher_traces(net, layers, inputs), 3))
    y = torch.randn(30, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return Subject(net, inputs.squeeze(1), y, factors, 0.1)


def _whole(of: list[tuple[Tensor, Tensor]], units: int) -> list[tuple[Tensor, Tensor]]:
    """The traces of a pass for each unit, scaled so that their mean square is the sum over units."""
    return [(a, s * units**0.5) for a, s in of]


def tanh_subject() -> Subject:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(6)
    x, y = (torch.randn(40, width, generator=generator, dtype=torch.float64) for width in (4, 2))
    return Subject(net, x, y, sampled_factors(net, x, 1), 0.1)


def queries(subject: Subject, count: int = 3) -> list[object]:
    return [subject.point(place) for place in range(20, 20 + count)]


def respond(subject: Subject, *, effort: Effort = EXACT, copies: tuple[float, ...] = COPIES) -> PointResponses:
    return subject.responses(queries(subject), columns=10, effort=effort).of(subject.point(0), copies)  # type: ignore[arg-type]


def test_a_linear_model_responds_as_the_dense_solve_says() -> None:
    """Broken by: a factor N or 1/2 in the divergence, the damping or the pull; the sign of the pull."""
    subject = linear_subject()
    x = torch.cat([subject.x, torch.ones(30, 1, dtype=torch.float64)], dim=1)
    start = subject.weights.start.view(3, 6)
    for copies, response in zip(COPIES, respond(subject).responses, strict=True):
        pulled = copies / 30 * torch.outer(x[0], x[0])
        H = x.T @ x / 30 + subject.ekfac.damping[0] * torch.eye(6, dtype=torch.float64) + pulled
        residual = subject.y[0] - start @ x[0]
        theta = start + copies / 30 * torch.outer(residual, torch.linalg.solve(H, x[0]))
        want = [_log_p(subject, theta, x, q) - _log_p(subject, start, x, q) for q in (20, 21, 22)]
        np.testing.assert_allclose(response.per_copy, np.array(want) / copies, rtol=1e-8)


def _log_p(subject: Subject, theta: Tensor, x: Tensor, place: int) -> float:
    return -float((subject.y[place] - theta @ x[place]).square().sum()) / 2


def test_where_ekfac_is_exact_it_is_the_limit_of_the_response() -> None:
    """Broken by: labels or factors of another scale; a preconditioner in the place of the solve."""
    point = respond(linear_subject(), copies=(1e-4,))
    np.testing.assert_allclose(point.gauss_newton, point.ekfac, rtol=1e-8)
    np.testing.assert_allclose(point.responses[0].per_copy, point.ekfac, rtol=1e-3)


def test_half_the_pull_has_half_the_response_in_the_limit() -> None:
    """Broken by: a pull that does not scale; a limit that is not the damped Gauss-Newton matrix."""
    point = respond(tanh_subject(), copies=(0.02, 0.01))
    large, small = (response.per_copy for response in point.responses)
    assert large is not None
    assert small is not None
    assert point.gauss_newton is not None
    np.testing.assert_allclose(small, large, rtol=0.05, atol=1e-5)
    np.testing.assert_allclose(small - point.gauss_newton, (large - point.gauss_newton) / 2, rtol=0.1, atol=1e-7)


def test_the_weights_are_those_of_before() -> None:
    """Broken by: a minimization in place."""
    subject = tanh_subject()
    before = subject.weights.start.clone()
    respond(subject)
    assert torch.equal(subject.weights.start, before)


def test_the_gauss_newton_product_is_that_of_dense_jacobians() -> None:
    """Broken by: a tangent that is lost; the mean taken over rows of the batch twice."""
    subject = tanh_subject()
    objective, displacement = subject.objective, torch.full_like(subject.weights.start, 0.01)
    J = torch.autograd.functional.jacobian(
        lambda theta: objective._outputs(theta, rows(subject.x, subject.y)), subject.weights.start + displacement
    )
    flat = J.reshape(-1, len(displacement))
    vector = torch.randn(len(displacement), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(objective.gauss_newton(displacement, vector), flat.T @ (flat @ vector) / 40)


def test_the_hessian_is_the_derivative_of_the_gradient() -> None:
    """Broken by: a Hessian of the data alone, or of the Gauss-Newton matrix; a damping that is left out."""
    subject = tanh_subject()
    at, pull = torch.full_like(subject.weights.start, 0.01), Pull(point=subject.point(0), epsilon=0.5)
    vector = torch.randn(len(at), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ahead, behind = (subject.objective.evaluate(at + h * vector, pull).gradient for h in (1e-5, -1e-5))
    torch.testing.assert_close(
        subject.objective.hessian(at, vector, pull), (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8
    )


def test_what_did_not_converge_has_no_figure() -> None:
    """Broken by: a displacement that is taken for a minimum when the effort is spent."""
    point = respond(tanh_subject(), effort=Effort(tolerance=1e-9, iterations=2))
    assert point.gauss_newton is None
    assert [response.per_copy for response in point.responses] == [None, None]
    assert all(response.gradient > 1e-9 for response in point.responses)
    assert agreements([point] * 5) == []


@pytest.mark.parametrize("columns", [0, 10, 58])
def test_the_minimum_does_not_depend_on_the_preconditioner(columns: int) -> None:
    """Broken by: a preconditioner that enters the objective; a norm in which nothing is left."""
    subject = tanh_subject()
    got = subject.responses(queries(subject), columns=columns, effort=EXACT).of(subject.point(0), (1.0,))  # type: ignore[arg-type]
    want = respond(subject, copies=(1.0,))
    np.testing.assert_allclose(got.responses[0].per_copy, want.responses[0].per_copy, rtol=1e-6)
