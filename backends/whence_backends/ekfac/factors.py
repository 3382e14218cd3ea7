"""The factors artefact, ``whence.factors/1``, which ``whence fit`` writes and every engine reads. No torch.

One ``basis-NNNNN.safetensors`` (``Q_A`` [D_in, D_in], ``Q_S`` [D_out, D_out], eigenvectors as columns, and the
eigenvalues of A and S) and one ``lambda-NNNNN.safetensors`` (``Lambda`` [D_out, D_in]) for each tracked layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from whence_backends.contract import LayerSpec, SelfCheck
from whence_backends.ekfac.damping import is_dead
from whence_backends.preflight import FactorsFacts, ModelFacts, factors_of_layers, factors_of_model, require
from whence_backends.store import Manifest, read_manifest, verify_files

FORMAT: Final = "whence.factors/1"
# The origins of N; in factors of earlier versions it is the size of the corpus.
CORPUS, FIT = "corpus", "fit"


class FactorArrays(NamedTuple):
    """One layer's Q_A [D_in, D_in], Q_S [D_out, D_out] and Λ [D_out, D_in], in the precision they were fitted in."""

    Q_A: NDArray[np.floating[Any]]
    Q_S: NDArray[np.floating[Any]]
    Lambda: NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class FactorsCard:
    """The description of factors, kept in their manifest.

    ``training_set_size`` is N, by which influences are divided: the number of sequences of the whole corpus, or what
    was given, as ``training_set_source`` says (``corpus`` or ``fit``). ``fitted_sequences`` and ``fitted_tokens`` say
    on how much of the corpus the statistics were taken, counting the tokens that are trained on. ``unattributed``
    counts the parameters outside the tracked layers by kind. ``dead_layers`` are tracked, but no gradient reached them:
    their Λ is 0 (``None``: not determined). ``self_check`` is the outcome of checking the model's traced gradients
    against autograd's.
    """

    model: str
    model_digest: str
    corpus_digest: str
    training_set_size: int
    fitted_sequences: int
    fitted_tokens: int
    labels: str
    seed: int
    precision: str
    tracked: str
    layers: tuple[LayerSpec, ...]
    parameters: int
    unattributed: Mapping[str, int]
    versions: Mapping[str, str]
    training_set_source: str = CORPUS
    dead_layers: tuple[str, ...] | None = None
    self_check: SelfCheck | None = None

    def as_properties(self) -> dict[str, Any]:
        """Return the card as the properties of a manifest."""
        return asdict(self)

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> FactorsCard:
        """Return the card from the properties of a manifest."""
        layers = tuple(LayerSpec(**layer) for layer in properties["layers"])
        dead, check = properties.get("dead_layers"), properties.get("self_check")
        dead = None if dead is None else tuple(dead)
        checked = SelfCheck(**{**check, "idle": tuple(check["idle"])}) if check else None
        return cls(**{**properties, "layers": layers, "dead_layers": dead, "self_check": checked})

    @property
    def attributed_parameters(self) -> int:
        """The number of parameters of the tracked layers, without dead layers."""
        return sum(layer.d_in * layer.d_out for layer in self.layers if layer.name not in (self.dead_layers or ()))


class Factors:
    """The factors in a folder, opened, verified and read layer by layer."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.digest = manifest.digest
        self.card = FactorsCard.from_properties(manifest.properties)

    @classmethod
    def open(cls, folder: Path, *, verify: bool = True) -> Factors:
        """Open the factors in ``folder``.

        Raises the errors of :func:`~whence_backends.store.read_manifest` and, unless ``verify`` is false, of
        :func:`~whence_backends.store.verify_files`.
        """
        manifest = read_manifest(folder, FORMAT)
        if verify:
            verify_files(folder, manifest.files)
        return cls(folder, manifest)

    @property
    def facts(self) -> FactorsFacts:
        """The facts that the preflight decides on."""
        return FactorsFacts(
            name=str(self.folder),
            digest=self.digest,
            model_digest=self.card.model_digest,
            corpus_digest=self.card.corpus_digest,
            training_set_size=self.card.training_set_size,
            layers=tuple(map(str, self.card.layers)),
        )

    def require_model(self, digest: str, reference: str) -> None:
        """Raise :class:`~whence.errors.MismatchError` unless the factors were fitted on the model with this digest."""
        require(factors_of_model(self.facts, ModelFacts(name=reference, digest=digest)))

    def require_layers(self, layers: Sequence[LayerSpec]) -> None:
        """Raise :class:`~whence.errors.MismatchError` unless the factors are of exactly these layers, in this order."""
        require(factors_of_layers(self.facts, [str(layer) for layer in layers]))

    def layer(self, index: int) -> FactorArrays:
        """Read one layer's arrays."""
        basis = load_file(self.folder / basis_file(index))
        return FactorArrays(Q_A=basis["Q_A"], Q_S=basis["Q_S"], Lambda=self.Lambda(index))

    def dead_layers(self) -> tuple[str, ...]:
        """Return the names of the layers whose Λ is 0, from the card, or by reading Λ where it has none."""
        if self.card.dead_layers is not None:
            return self.card.dead_layers
        means = ((layer.name, float(self.Lambda(i).mean(dtype=np.float64))) for i, layer in enumerate(self.card.layers))
        return tuple(name for name, mean in means if is_dead(mean))

    def Lambda(self, index: int) -> NDArray[np.floating[Any]]:  # noqa: N802 - the paper's symbol
        """Read one layer's Λ [D_out, D_in]."""
        return load_file(self.folder / lambda_file(index))["Lambda"]


def basis_file(index: int) -> str:
    """Return the name of a layer's basis file."""
    return f"basis-{index:05}.safetensors"


def lambda_file(index: int) -> str:
    """Return the name of a layer's corrected-eigenvalues file."""
    return f"lambda-{index:05}.safetensors"
