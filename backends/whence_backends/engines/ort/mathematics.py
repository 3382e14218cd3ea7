"""The mathematics around the model, as small ONNX graphs, which run on the model's device without copies.

Symbols and shapes are those of :mod:`whence_backends.ekfac`. ``real`` below stands for float, or for double if the
model was exported in float64.
"""

from __future__ import annotations

from typing import Final, Literal

from onnx import checker, parser

from whence_backends.engines.ort.arrays import DeviceArray
from whence_backends.engines.ort.sessions import Session, SessionOpener

Real = Literal["float", "double"]

_HEADER: Final = '<ir_version: 10, opset_import: ["" : 20]>'

# Tokens into the eigenbasis: left = s Q_S, right = a Q_A; the rotated gradient is leftᵀ right.
_ROTATE: Final = """
rotate (real[T, D_in] a, real[T, D_out] s, real[D_in, D_in] Q_A, real[D_out, D_out] Q_S)
    => (real[T, D_out] left, real[T, D_in] right)
{ left = MatMul(s, Q_S)
  right = MatMul(a, Q_A) }
"""

# leftᵀ right.
_PRODUCT: Final = """
product (real[R, D_out] left, real[R, D_in] right) => (real[D_out, D_in] G)
{ transposed = Transpose<perm = [1, 0]>(left)
  G = MatMul(transposed, right) }
"""

# V = Q_S [(leftᵀ right) ⊘ (Λ + λ)] Q_Aᵀ.
_PRECONDITION: Final = """
precondition (real[R, D_out] left, real[R, D_in] right, real[D_in, D_in] Q_A, real[D_out, D_out] Q_S,
              real[D_out, D_in] Lambda, real[1] damping) => (real[D_out, D_in] V)
{ transposed = Transpose<perm = [1, 0]>(left)
  G = MatMul(transposed, right)
  damped = Add(Lambda, damping)
  divided = Div(G, damped)
  half = MatMul(Q_S, divided)
  Q_A_transposed = Transpose<perm = [1, 0]>(Q_A)
  V = MatMul(half, Q_A_transposed) }
"""

# The same before it is rotated back.
_DIVIDE: Final = """
divide (real[R, D_out] left, real[R, D_in] right, real[D_out, D_in] Lambda, real[1] damping)
    => (real[D_out, D_in] divided)
{ transposed = Transpose<perm = [1, 0]>(left)
  G = MatMul(transposed, right)
  damped = Add(Lambda, damping)
  divided = Div(G, damped) }
"""

# Factors of a matrix in the eigenbasis, rotated back: their product is Q_S (leftᵀ right) Q_Aᵀ.
_ROTATE_BACK: Final = """
rotate_back (real[R, D_out] left, real[R, D_in] right, real[D_in, D_in] Q_A, real[D_out, D_out] Q_S)
    => (real[R, D_out] left_back, real[R, D_in] right_back)
{ Q_S_transposed = Transpose<perm = [1, 0]>(Q_S)
  left_back = MatMul(left, Q_S_transposed)
  Q_A_transposed = Transpose<perm = [1, 0]>(Q_A)
  right_back = MatMul(right, Q_A_transposed) }
"""

# Each token's part, s_tᵀ V a_t.
_BY_TOKEN: Final = """
by_token (real[D_out, D_in] V, real[B, T, D_in] a, real[B, T, D_out] s) => (real[B, T] influence)
{ transposed = Transpose<perm = [1, 0]>(V)
  applied = MatMul(a, transposed)
  products = Mul(applied, s)
  last = Constant<value = int64[1] {2}>()
  influence = ReduceSum<keepdims = 0>(products, last) }
"""

# ⟨V_q, G_b⟩ with G_b = Σ_t s_t a_tᵀ; D = D_out·D_in.
_BY_GRADIENT: Final = """
by_gradient (real[Q, D] V, real[B, T, D_in] a, real[B, T, D_out] s) => (real[Q, B] influence)
{ transposed = Transpose<perm = [0, 2, 1]>(s)
  G = MatMul(transposed, a)
  flat = Constant<value = int64[2] {0, -1}>()
  flat_G = Reshape(G, flat)
  influence = Gemm<transB = 1>(V, flat_G) }
"""

# A layer's part of sketches: the rotated gradients Ĝ_b, folded, and Σ Ĝ_b² / (Λ + λ); D = D_out·D_in.
_SKETCH: Final = """
sketch (real[B, T, D_in] a, real[B, T, D_out] s, real[D_in, D_in] Q_A, real[D_out, D_out] Q_S, real[D, one] inverse,
        int64[M, K] indices, real[M, K, one] weights) => (real[B, K] values, real[B, one] self_influence)
{ right = MatMul(a, Q_A)
  left = MatMul(s, Q_S)
  transposed = Transpose<perm = [0, 2, 1]>(left)
  G = MatMul(transposed, right)
  flat = Constant<value = int64[2] {0, -1}>()
  flat_G = Reshape(G, flat)
  squares = Mul(flat_G, flat_G)
  self_influence = MatMul(squares, inverse)
  by_coordinate = Transpose<perm = [1, 0]>(flat_G)
  gathered = Gather<axis = 0>(by_coordinate, indices)
  weighted = Mul(gathered, weights)
  first = Constant<value = int64[1] {0}>()
  folded = ReduceSum<keepdims = 0>(weighted, first)
  values = Transpose<perm = [1, 0]>(folded) }
"""


def graph(text: str, real: Real) -> bytes:
    """Return the bytes of one of the graphs above."""
    model = parser.parse_model(_HEADER + text.replace("real[", f"{real}["))
    checker.check_model(model)
    return bytes(model.SerializeToString())


class Mathematics:
    """The graphs, loaded. Each call computes on the device; results stay there."""

    def __init__(self, opener: SessionOpener, real: Real) -> None:
        def load(text: str) -> Session:
            return opener.open(graph(text, real))

        self._rotate = load(_ROTATE)
        self._product = load(_PRODUCT)
        self._precondition = load(_PRECONDITION)
        self._divide = load(_DIVIDE)
        self._rotate_back = load(_ROTATE_BACK)
        self._by_token = load(_BY_TOKEN)
        self._by_gradient = load(_BY_GRADIENT)
        self._sketch = load(_SKETCH)

    def rotate(
        self, a: DeviceArray, s: DeviceArray, Q_A: DeviceArray, Q_S: DeviceArray
    ) -> tuple[DeviceArray, DeviceArray]:
        """Return (s Q_S [T, D_out], a Q_A [T, D_in])."""
        outputs = self._rotate.run({"a": a, "s": s, "Q_A": Q_A, "Q_S": Q_S})
        return outputs["left"], outputs["right"]

    def product(self, left: DeviceArray, right: DeviceArray, into: DeviceArray | None = None) -> DeviceArray:
        """Return leftᵀ right [D_out, D_in], written ``into`` an array if one is given."""
        feeds = {"left": left, "right": right}
        if into is None:
            return self._product.run(feeds)["G"]
        self._product.run(feeds, into={"G": into})
        return into

    def precondition(self, into: DeviceArray, **arrays: DeviceArray) -> None:
        """Write V [D_out, D_in] of ``left``, ``right``, ``Q_A``, ``Q_S``, ``Lambda`` and ``damping`` [1]."""
        self._precondition.run(arrays, into={"V": into})

    def divide(self, **arrays: DeviceArray) -> DeviceArray:
        """Return (leftᵀ right) ⊘ (Λ + λ) [D_out, D_in] of ``left``, ``right``, ``Lambda`` and ``damping`` [1]."""
        return self._divide.run(arrays)["divided"]

    def rotate_back(
        self, left: DeviceArray, right: DeviceArray, Q_A: DeviceArray, Q_S: DeviceArray
    ) -> tuple[DeviceArray, DeviceArray]:
        """Return (left Q_Sᵀ [R, D_out], right Q_Aᵀ [R, D_in])."""
        outputs = self._rotate_back.run({"left": left, "right": right, "Q_A": Q_A, "Q_S": Q_S})
        return outputs["left_back"], outputs["right_back"]

    def by_token(self, V: DeviceArray, a: DeviceArray, s: DeviceArray) -> DeviceArray:
        """Return s_tᵀ V a_t [B, T] for V [D_out, D_in]."""
        return self._by_token.run({"V": V, "a": a, "s": s})["influence"]

    def by_gradient(self, V: DeviceArray, a: DeviceArray, s: DeviceArray) -> DeviceArray:
        """Return ⟨V_q, G_b⟩ [Q, B] for V [Q, D_out·D_in]. Forms B matrices of D_out·D_in elements."""
        return self._by_gradient.run({"V": V, "a": a, "s": s})["influence"]

    def sketch(self, **arrays: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
        """Return a layer's part of sketches, [B, K], and of self-influences, [B, 1].

        Of ``a``, ``s``, ``Q_A``, ``Q_S``, ``inverse`` [D_out·D_in, 1], ``indices`` int64 [M, K] and ``weights``
        [M, K, 1]. Forms B matrices of D_out·D_in elements.
        """
        outputs = self._sketch.run(arrays)
        return outputs["values"], outputs["self_influence"]
