"""The result of a test by the proximal Bregman response function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from whence_backends.validation.pbrf.agreement import Agreement
from whence_backends.validation.pbrf.config import PbrfConfig
from whence_backends.validation.pbrf.responses import PointResponses, Response

PBRF_FORMAT: Final = "whence.pbrf/1"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The artefacts that were tested, and the sizes: ``sequences`` of the ``fitted_sequences`` are in the objective."""

    model_digest: str
    factors_digest: str
    corpus_digest: str
    training_set_size: int
    fitted_sequences: int
    sequences: int
    free_parameters: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PbrfResult:
    """The responses to ``points``, sequences of the corpus by id, and how well each approximation agrees with them."""

    config: PbrfConfig
    setting: Setting
    queries: tuple[str, ...]
    points: tuple[str, ...]
    responses: tuple[PointResponses, ...]
    agreements: tuple[Agreement, ...]

    @property
    def converged(self) -> dict[float, int]:
        """The number of points whose minimum was reached, by the size of the pull in copies."""
        sizes = [[point.responses[number] for point in self.responses] for number in range(len(self.config.copies))]
        return {size[0].copies: sum(response.per_copy is not None for response in size) for size in sizes if size}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What must be said beside the figures."""
        setting, remarks = self.setting, []
        if setting.sequences < setting.training_set_size:
            remarks.append(
                f"the objective is taken over a sample of {setting.sequences:,} of the {setting.training_set_size:,} "
                f"training sequences; the factors were fitted on {setting.fitted_sequences:,}"
            )
        for copies, reached in self.converged.items():
            if reached < len(self.points):
                remarks.append(
                    f"{len(self.points) - reached} of {len(self.points)} points did not converge for {copies:g} copies "
                    f"(gradient above {self.config.effort.tolerance:g} of its start) and are left out of its figures"
                )
        return (*remarks, "the response tests the approximation of influence, not what retraining would give")

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values: what did not converge is null."""
        config = {**asdict(self.config), "copies": list(self.config.copies)}
        return {
            "format": PBRF_FORMAT,
            "config": {
                name: str(value) if name in ("factors", "corpus", "queries") else value
                for name, value in config.items()
            },
            "setting": asdict(self.setting),
            "remarks": list(self.remarks),
            "converged": {f"{copies:g}": count for copies, count in self.converged.items()},
            "agreements": [asdict(agreement) for agreement in self.agreements],
            "queries": list(self.queries),
            "points": [_point(name, point) for name, point in zip(self.points, self.responses, strict=True)],
        }


def _point(name: str, point: PointResponses) -> dict[str, Any]:
    return {
        "sequence": name,
        "ekfac": point.ekfac.tolist(),
        "dot_product": point.dot_product.tolist(),
        "gauss_newton": None if point.gauss_newton is None else point.gauss_newton.tolist(),
        "responses": [_response(response) for response in point.responses],
    }


def _response(response: Response) -> dict[str, Any]:
    per_copy: Sequence[float] | None = None if response.per_copy is None else response.per_copy.tolist()
    return {
        "copies": response.copies,
        "per_copy": per_copy,
        "gradient": response.gradient,
        "steps": response.steps,
        "iterations": response.iterations,
    }
