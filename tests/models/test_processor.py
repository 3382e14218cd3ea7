"""Who computes in bfloat16 on a processor without instructions for it is warned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data import InMemory, sequences
from whence.reasons import WarningCode
from whence_backends.fit import FitConfig, fit
from whence_backends.models import processor
from whence_backends.models.processor import slow_precision
from whence_backends.preflight import Finding


@pytest.mark.parametrize(
    ("precision", "device", "has_instructions", "slow"),
    [
        ("bfloat16", "cpu", False, True),
        ("bfloat16", "cpu", True, False),
        ("bfloat16", "cuda", False, False),
        ("float32", "cpu", False, False),
    ],
)
def test_bfloat16_is_slow_on_processors_without_it(
    precision: str, device: str, has_instructions: bool, slow: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processor, "computes_bfloat16", lambda: has_instructions)
    found = [finding.reason for finding in slow_precision(precision, device)]
    assert found == ([WarningCode.SLOW_PRECISION] if slow else [])


def test_a_fit_warns_of_it(model_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "computes_bfloat16", lambda: False)
    found: list[Finding] = []
    config = FitConfig(model=str(model_folder("llama")), out=tmp_path / "factors", device="cpu", precision="bfloat16")
    fit(config, InMemory(sequences(8)), warn=found.append)
    assert WarningCode.SLOW_PRECISION in [finding.reason for finding in found]
