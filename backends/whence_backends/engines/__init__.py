"""Engines by name: the entry-point group ``whence.engines`` maps a name to a factory, imported on demand."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from whence.errors import InvalidRequestError, UnimplementedError
from whence.reasons import Reason
from whence_backends.contract import Engine, EngineConfig
from whence_backends.models.checkpoints import names_checkpoints
from whence_backends.models.source import ModelSource

GROUP: Final = "whence.engines"
# The engines that average over checkpoints.
OF_CHECKPOINTS: Final = ("pytorch",)


def known_engines() -> tuple[str, ...]:
    """Return the names of every installed engine."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def engine_for(asked: str, model: ModelSource) -> str:
    """Return the requested engine; ``auto`` is the one for this kind of model."""
    if asked != "auto":
        return asked
    return "ort" if model.kind == "export" else "pytorch"


def load_engine(name: str, config: EngineConfig) -> Engine:
    """Create the engine of that name.

    Raises :class:`~whence.errors.InvalidRequestError` for an unknown name (``UNKNOWN_ENGINE``, listing the known) and
    :class:`~whence.errors.UnimplementedError` for one whose packages are not installed (``MISSING_DEPENDENCY``) or that
    takes no checkpoints (``UNSUPPORTED_CHECKPOINTS``).
    """
    points = tuple(entry_points(group=GROUP, name=name))
    if not points:
        raise InvalidRequestError(
            f"unknown engine {name!r}; expected one of: {', '.join(known_engines())}",
            reason=Reason.UNKNOWN_ENGINE,
            field="engine",
        )
    if name not in OF_CHECKPOINTS and names_checkpoints(config.model):
        raise UnimplementedError(
            f"{config.model} names several checkpoints, which the engine {name!r} does not take; expected one of: "
            f"{', '.join(OF_CHECKPOINTS)}; or name one checkpoint",
            reason=Reason.UNSUPPORTED_CHECKPOINTS,
            engine=name,
        )
    try:
        create = points[0].load()
    except ImportError as error:
        raise UnimplementedError(
            f"engine {name!r} ({points[0].value}) cannot be imported: {error}; install the packages it needs",
            reason=Reason.MISSING_DEPENDENCY,
            engine=name,
        ) from error
    engine: Engine = create(config)
    return engine
