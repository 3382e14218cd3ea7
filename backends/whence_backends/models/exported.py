"""The export artefact, ``whence.export/1``: a model and its traces as one ONNX graph, written by ``whence export``.

It contains the manifest, ``model.onnx``, its weights in ``model.onnx.data`` if there are any, and the tokenizer's
files. An export can be served in place of the model that it was made from, whose digest it has
(:func:`~whence_backends.models.source.resolve_model`), by an engine that runs such graphs. No torch here.

The graph reads ``token_ids`` and ``labels`` int64 [B, T] and ``weights`` [B, T]. It gives ``log_p`` [B, T], the
log-probability of each label, and for each tracked layer ``i`` its inputs ``a.<inputs[i]>`` [B, uses·T, D_in], with the
trailing 1 of a bias, and its output gradients ``s.<i>`` [B, uses·T, D_out] of Σ weights · log p. Layers that read the
same tensor share an ``a``. All but the ids are float32, or float64 where the model is. Attention is causal and nothing
is masked: padding belongs on the right, with weight 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from whence_backends.contract import LayerSpec, SelfCheck
from whence_backends.store import Manifest, read_manifest, verify_files

FORMAT: Final = "whence.export/1"
GRAPH: Final = "model.onnx"
TOKEN_IDS, LABELS, WEIGHTS, LOG_P = "token_ids", "labels", "weights", "log_p"


def input_name(index: int) -> str:
    """Return the name of the graph's output with some layers' inputs."""
    return f"a.{index}"


def gradient_name(index: int) -> str:
    """Return the name of the graph's output with a layer's output gradients."""
    return f"s.{index}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The error of the graph against the model on random tokens, relative to the largest value of each tensor.

    ``log_p``, ``inputs`` and ``gradients`` are the maxima over all tokens, layers and batches.
    """

    sequences: int
    tokens: int
    log_p: float
    inputs: float
    gradients: float

    @property
    def worst(self) -> float:
        """The largest of the three errors."""
        return max(self.log_p, self.inputs, self.gradients)


@dataclass(frozen=True, kw_only=True)
class ExportCard:
    """The properties of an export. ``inputs[i]`` is the number of the ``a`` that layer ``i`` reads.

    ``self_check`` is the result of the model's self-check. ``probe_norms`` are the Frobenius norms of each layer's
    gradient by autograd on the same short batch (:func:`~whence_backends.batching.probe_sequences`), which an engine
    compares with its own when it loads the graph. Exports of earlier releases have neither.
    """

    model: str
    model_digest: str
    tokenizer_digest: str
    precision: str
    tracked: str
    layers: tuple[LayerSpec, ...]
    inputs: tuple[int, ...]
    parameters: int
    max_tokens: int
    vocabulary_size: int
    opset: int
    verification: Verification
    versions: Mapping[str, str]
    self_check: SelfCheck | None = None
    probe_norms: tuple[float, ...] = ()

    def as_properties(self) -> dict[str, Any]:
        """Return the card as properties of a manifest."""
        return asdict(self)

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> ExportCard:
        """Return the card from the properties of a manifest."""
        layers = tuple(LayerSpec(**layer) for layer in properties["layers"])
        verification = Verification(**properties["verification"])
        inputs = tuple(properties["inputs"])
        check = properties.get("self_check")
        return cls(
            **{
                **properties,
                "layers": layers,
                "inputs": inputs,
                "verification": verification,
                "self_check": SelfCheck(**{**check, "idle": tuple(check["idle"])}) if check else None,
                "probe_norms": tuple(properties.get("probe_norms", ())),
            }
        )


class Export:
    """The export in a folder, opened and verified."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.digest = manifest.digest
        self.card = ExportCard.from_properties(manifest.properties)
        self.size_bytes = sum(file.size_bytes for file in manifest.files)

    @classmethod
    def open(cls, folder: Path, *, verify: bool = True) -> Export:
        """Open the export in ``folder``.

        Raises the errors of :func:`~whence_backends.store.read_manifest` and, if ``verify`` is true, of
        :func:`~whence_backends.store.verify_files`.
        """
        manifest = read_manifest(folder, FORMAT)
        if verify:
            verify_files(folder, manifest.files)
        return cls(folder, manifest)

    @property
    def graph(self) -> Path:
        """The graph's file."""
        return self.folder / GRAPH


def is_export(folder: Path) -> bool:
    """Return true for a folder with the manifest of an export; opening it checks the rest."""
    manifest = folder / "manifest.json"
    return manifest.is_file() and f'"{FORMAT}"' in manifest.read_text(encoding="utf-8", errors="replace")
