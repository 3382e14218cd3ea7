"""What the two engines' libraries make of a matrix product on this machine: the floor under their scans.

    python tests/benchmarks/matmul.py [--threads 2]

Products x Wᵀ of the shapes of SmolLM2-135M, in float32, W constant. A token of it costs 4 · parameters + 2 · tracked
FLOP: forward, backward to the layers' outputs, and the product with V. The last line has the rate of each library, all
shapes together, and the tokens per second that this rate would allow (better above).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

sys.path[:0] = [str(Path(__file__).parent)]

from measure import print_figures, print_machine

TOKENS, WIDTH, INTERMEDIATE, VOCABULARY = 512, 576, 1536, 49152
SHAPES = ((WIDTH, INTERMEDIATE), (INTERMEDIATE, WIDTH), (WIDTH, WIDTH), (WIDTH, VOCABULARY))
PARAMETERS, TRACKED = 134_515_008, 79_626_240
FLOP_PER_TOKEN = 4 * PARAMETERS + 2 * TRACKED


def with_torch(x: np.ndarray, W: np.ndarray, threads: int) -> Callable[[], object]:
    torch.set_num_threads(threads)
    left, right = torch.from_numpy(x), torch.from_numpy(W)
    return lambda: torch.nn.functional.linear(left, right)


def with_onnxruntime(x: np.ndarray, W: np.ndarray, threads: int) -> Callable[[], object]:
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])]
        for name, width in (("x", x.shape[1]), ("y", len(W)))
    )
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"])]
    constant = numpy_helper.from_array(np.ascontiguousarray(W.T), "W")
    model = helper.make_model(
        helper.make_graph(nodes, "product", inputs, outputs, [constant]),
        opset_imports=[helper.make_opsetid("", 20)], ir_version=10,
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def best_seconds(run: Callable[[], object], repeats: int = 20) -> float:
    found = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        found = min(found, time.perf_counter() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    print_machine()
    print(f"# onnxruntime {onnxruntime.__version__}, {threads} threads each, float32, {TOKENS} tokens")
    rng, flop = np.random.default_rng(0), 0
    seconds = {"torch": 0.0, "onnxruntime": 0.0}
    for d_in, d_out in SHAPES:
        x, W = (rng.normal(size=shape).astype(np.float32) for shape in ((TOKENS, d_in), (d_out, d_in)))
        taken = {
            "torch": best_seconds(with_torch(x, W, threads)),
            "onnxruntime": best_seconds(with_onnxruntime(x, W, threads)),
        }
        product = 2 * TOKENS * d_in * d_out
        rates = "   ".join(f"{name} {product / taken[name] / 1e9:6.0f} GFLOP/s" for name in taken)
        print(f"{d_in:6} to {d_out:6}   {rates}")
        # As many of each shape as a forward pass has: 60 and 30 in the MLPs, about 80 in attention, one output layer.
        count = {(WIDTH, INTERMEDIATE): 60, (INTERMEDIATE, WIDTH): 30, (WIDTH, WIDTH): 80}.get((d_in, d_out), 1)
        flop += count * product
        for name in taken:
            seconds[name] += count * taken[name]
    print_figures(
        torch_gflops=flop / seconds["torch"] / 1e9,
        onnxruntime_gflops=flop / seconds["onnxruntime"] / 1e9,
        torch_tokens_per_s=flop / seconds["torch"] / FLOP_PER_TOKEN,
        onnxruntime_tokens_per_s=flop / seconds["onnxruntime"] / FLOP_PER_TOKEN,
    )


if __name__ == "__main__":
    main()
