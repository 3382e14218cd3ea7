"""What a breakage is, and the places that the tables name."""

from __future__ import annotations

from dataclasses import dataclass

EKFAC, INDEX = "backends/whence_backends/ekfac", "backends/whence_backends/index"
CORPUS = "backends/whence_backends/corpus"
MODELS, LOADING = "backends/whence_backends/models", "tests/models/loading"
WORKER, FRONT = "backends/whence_backends/worker", "service/whence_service/frontend"
REPORT = "backends/whence_backends/validation/report"
STATISTICS = "backends/whence_backends/validation/statistics"
RPC = "service/whence_service/rpc"
EXACT, FACTORS, ENGINES = "tests/laws/test_exactness.py", "tests/laws/test_factors.py", "tests/conformance"
SELF_CHECK = "tests/laws/test_self_check.py"
GPT2 = "gpt2-float64 and not wire"
ORT, ORT_GPT2 = "backends/whence_backends/engines/ort", f"ort and dense_damped and {GPT2}"


@dataclass(frozen=True, kw_only=True)
class Breakage:
    """In ``file``, ``old`` becomes ``new``; of ``tests``, those that ``only`` selects must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    only: str = ""
