"""Of the checks that need no retraining."""

from __future__ import annotations

from breakage import Breakage

CHECKS = "backends/whence_backends/validation/checks"
STEP, SCAN, ALL = (f"tests/validation/checks/test_{name}.py" for name in ("step", "scan", "checks"))

BREAKAGES = (
    Breakage(
        name="checks: weights left where the step took them",
        file=f"{CHECKS}/moved.py",
        old="parameter.copy_(before)",
        new="parameter.copy_(parameter)",
        tests=STEP,
        only="weights_are_what_they_were",
    ),
    Breakage(
        name="checks: a step down the gradient",
        file=f"{CHECKS}/step.py",
        old="self._scale = 1 / inputs.card.training_set_size",
        new="self._scale = -1 / inputs.card.training_set_size",
        tests=STEP,
        only="small_steps",
    ),
    Breakage(
        name="checks: a step that leaves biases out",
        file=f"{CHECKS}/moved.py",
        old="bias.add_(step[:, width].to(bias.dtype), alpha=scale)",
        new="bias.add_(step[:, width].to(bias.dtype), alpha=0.0)",
        tests=STEP,
        only="weights_move",
    ),
    Breakage(
        name="checks: both label seeds the same",
        file=f"{CHECKS}/fits.py",
        old="(whole, config.seed + 1),",
        new="(whole, config.seed),",
        tests=ALL,
        only="another_label_seed",
    ),
    Breakage(
        name="checks: halves that overlap",
        file=f"{CHECKS}/sample.py",
        old="np.sort(chosen[middle : 2 * middle])",
        new="np.sort(chosen[middle - 1 : 2 * middle - 1])",
        tests=SCAN,
        only="sample_of_a_large_corpus",
    ),
    Breakage(
        name="checks: chance at an optimum without the size of the corpus",
        file=f"{CHECKS}/optimum.py",
        old="max(0.0, 1 - n / sequences)",
        new="max(0.0, 1.0)",
        tests=SCAN,
        only="mean_gradient",
    ),
    Breakage(
        name="checks: results kept whatever was asked",
        file=f"{CHECKS}/kept.py",
        old="digest_bytes(canonical_json(identity))",
        new='digest_bytes(b"")',
        tests=ALL,
        only="checked_anew",
    ),
)
