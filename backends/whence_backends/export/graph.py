"""Recording a model's forward and backward pass as a graph of plain operations.

A zero ("probe") is added to the output of each tracked layer. Autograd differentiates with respect to the probes while
the operations are recorded, so that the graph contains the backward pass, but no gradients of parameters.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from whence.errors import InvalidRequestError
from whence.reasons import Reason
from whence_backends.ekfac.head import Head, label_log_probabilities
from whence_backends.ekfac.language_model import TrackedLanguageModel
from whence_backends.ekfac.trace import TrackedLayer, by_sequence, with_bias
from whence_backends.models.exported import LABELS, LOG_P, TOKEN_IDS, WEIGHTS, gradient_name, input_name

OPSET: Final = 20
# Any sizes other than 0 and 1, which would be recorded as constants.
_EXAMPLE: Final = (2, 7)

TraceFunction = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class TracedModel:
    """An ONNX model (of :mod:`onnx_ir`), and the index of the ``a`` output that each tracked layer reads."""

    onnx: Any
    inputs: tuple[int, ...]


def trace_model(model: TrackedLanguageModel) -> TracedModel:
    """Return the graph of log p, layer inputs and output gradients; see :mod:`whence_backends.models.exported`.

    Raises :class:`~whence.errors.InvalidRequestError` (``MODEL_NOT_EXPORTABLE``) if torch cannot record the model or
    has no ONNX operator for a part of it.
    """
    wide = torch.float64 if model.dtype == torch.float64 else torch.float32
    readers: list[int] = []
    function = partial(_trace, model, wide, readers)
    B, T = _EXAMPLE
    example = (
        torch.zeros(B, T, dtype=torch.int64, device=model.device),
        torch.zeros(B, T, dtype=torch.int64, device=model.device),
        torch.ones(B, T, dtype=wide, device=model.device),
    )
    with _eager_attention(model.model), _quietly():
        try:
            recorded = _record(function, example, wide)
            inputs = tuple(readers)
            names = [input_name(i) for i in range(max(inputs) + 1)] + [gradient_name(i) for i in range(len(inputs))]
            onnx = _translate(recorded, example, [LOG_P, *names])
        except Exception as error:  # torch raises the errors of all its parts
            raise _not_exportable(error) from error
    return TracedModel(onnx=onnx, inputs=inputs)


def _trace(
    model: TrackedLanguageModel, wide: torch.dtype, readers: list[int], ids: Tensor, labels: Tensor, weights: Tensor
) -> tuple[Tensor, ...]:
    """Return (log p, every distinct layer input, every layer's output gradients); fill ``readers``."""
    probes = _Probes(model.layers, (ids.shape[0], ids.shape[1]))
    with torch.enable_grad(), probes:
        hidden = model.body(ids, **_positions(model, ids.shape[1]))
        log_p, gradient = pull_back(model.head, hidden.detach(), labels, weights)
        flat = [probe for uses in probes.probes for probe in uses]
        raw_gradients = torch.autograd.grad(hidden, flat, grad_outputs=gradient, allow_unused=True)
    gradients = iter(torch.zeros_like(p) if g is None else g for p, g in zip(flat, raw_gradients, strict=True))
    s = [_joined([next(gradients) for _ in uses]).to(wide) for uses in probes.probes]
    a, numbers = probes.distinct_inputs()
    readers[:] = numbers
    return (log_p.to(wide), *(x.to(wide) for x in a), *s)


def pull_back(head: Head, hidden: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p [B, T] and the gradient of Σ weights · log p at ``hidden`` [B, T, D].

    The gradient of the logits is onehot(y) - p, so that at the hidden states is W_y - p W: no one-hot matrix is formed.
    """
    logits = head.logits(hidden)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    p = torch.softmax(wide, dim=-1)
    index = labels.unsqueeze(-1)
    log_p = label_log_probabilities(wide, p, index)
    if head.weight is None:
        at_logits = torch.scatter_add(-p, -1, index, torch.ones_like(log_p))
        gradient = at_logits * weights.unsqueeze(-1)
    else:
        expected = p.to(head.weight.dtype) @ head.weight
        gradient = (head.weight[labels] - expected) * weights.unsqueeze(-1)
    return log_p.squeeze(-1), gradient.to(hidden.dtype)


def _positions(model: TrackedLanguageModel, T: Any) -> dict[str, Tensor]:  # noqa: ANN401 - a symbolic size
    """Return the causal mask [1, 1, T, T] and the positions, since the models' own code for them cannot be traced."""
    position = torch.arange(T, device=model.device)
    allowed = position.unsqueeze(0) <= position.unsqueeze(1)
    lowest = torch.finfo(model.dtype).min
    mask = torch.where(allowed, 0.0, lowest).to(model.dtype)
    return {"attention_mask": mask[None, None], "position_ids": position.unsqueeze(0)}


@dataclass(kw_only=True)
class _Layer:
    """The inputs that one tracked layer read during the pass, and the probes added to its outputs."""

    bias: bool
    inputs: list[Tensor] = field(default_factory=list)
    probes: list[Tensor] = field(default_factory=list)


class _Probes:
    """A context in which a zero is added to each output of each tracked layer, and kept with the layer's input."""

    def __init__(self, layers: Sequence[TrackedLayer], shape: tuple[Any, Any]) -> None:
        self._shape = shape  # (B, T), which may be symbolic
        self._modules = [layer.module for layer in layers]
        self._layers = [_Layer(bias=layer.spec.bias) for layer in layers]
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> None:
        for module, layer in zip(self._modules, self._layers, strict=True):
            self._handles.append(module.register_forward_hook(partial(self._hook, layer, self._shape)))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def probes(self) -> list[list[Tensor]]:
        """The probes of each layer, one per use."""
        return [layer.probes for layer in self._layers]

    def distinct_inputs(self) -> tuple[list[Tensor], list[int]]:
        """Return the distinct inputs [B, uses·T, D_in], and the index of each layer's."""
        numbers: dict[tuple[object, ...], int] = {}
        different: list[Tensor] = []
        readers = []
        for layer in self._layers:
            key = (layer.bias, *map(id, layer.inputs))
            if key not in numbers:
                numbers[key] = len(different)
                different.append(with_bias(_joined(layer.inputs)) if layer.bias else _joined(layer.inputs))
            readers.append(numbers[key])
        return different, readers

    @staticmethod
    def _hook(
        layer: _Layer, shape: tuple[Any, Any], _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor:
        a = by_sequence(inputs[0], shape)
        if a is None:
            raise ValueError(f"a tracked layer reads an input of shape {list(inputs[0].shape)}")
        probe = torch.zeros(*shape, output.shape[-1], dtype=output.dtype, device=output.device).requires_grad_()
        layer.inputs.append(a)
        layer.probes.append(probe)
        return output + probe.reshape(output.shape)


def _joined(uses: list[Tensor]) -> Tensor:
    return uses[0] if len(uses) == 1 else torch.cat(uses, dim=1)


def _record(function: TraceFunction, example: tuple[Tensor, ...], wide: torch.dtype) -> Any:  # noqa: ANN401 - a GraphModule
    from torch._decomp import core_aten_decompositions
    from torch._refs import native_layer_norm
    from torch.fx.experimental.proxy_tensor import make_fx

    decompositions = dict(core_aten_decompositions().items())  # type: ignore[no-untyped-call]
    decompositions[torch.ops.aten.pow.Tensor_Scalar] = _small_power
    if wide == torch.float64:  # ONNX's LayerNormalization has mean and deviation in float32 only
        decompositions[torch.ops.aten.native_layer_norm.default] = native_layer_norm
    recorder = make_fx(
        function,
        tracing_mode="symbolic",
        decomposition_table=decompositions,
        _allow_non_fake_inputs=True,  # the parameters
    )
    return recorder(*example).eval()


def _small_power(x: Tensor, exponent: float) -> Any:  # noqa: ANN401 - a tensor, or NotImplemented
    """Replace squares and cubes by products: onnxruntime computes every power by exponential and logarithm."""
    if exponent == 2:
        return x * x
    if exponent == 3:
        return x * x * x
    return NotImplemented


def _translate(recorded: Any, example: tuple[Tensor, ...], outputs: list[str]) -> Any:  # noqa: ANN401
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        recorded,
        example,
        dynamo=True,
        opset_version=OPSET,
        input_names=[TOKEN_IDS, LABELS, WEIGHTS],
        output_names=outputs,
        dynamic_shapes=tuple({0: dynamic, 1: dynamic} for _ in example),
        optimize=False,  # its time grows with the square of the graph, and the runtime optimizes anyway
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    return _without_origins(program.model)


def _without_origins(model: Any) -> Any:  # noqa: ANN401 - onnx_ir is not typed strictly
    """Drop the exporter's notes on the origin of each operation: paths of this machine, and most of the bytes."""
    model.metadata_props.clear()
    model.doc_string = None
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()
    return model


@contextlib.contextmanager
def _eager_attention(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Use attention of plain operations, since the fused ones have no derivative in ONNX."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hide the exporter's messages about its internals and about torchvision."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.__trace")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _not_exportable(error: Exception) -> InvalidRequestError:
    reason = str(error).strip().split("\n")[0][:300] or type(error).__name__
    return InvalidRequestError(
        f"the model cannot be turned into an ONNX graph: {type(error).__name__}: {reason}. Serve it with --engine "
        "pytorch, or choose other --layers",
        reason=Reason.MODEL_NOT_EXPORTABLE,
        field="model",
    )
