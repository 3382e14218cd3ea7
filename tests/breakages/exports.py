"""Of exports and the engine that runs them."""

from __future__ import annotations

from breakage import ENGINES, ORT, ORT_GPT2, Breakage

BREAKAGES = (
    Breakage(
        name="ort: Q where Qᵀ is meant",
        file=f"{ORT}/mathematics.py",
        old="V = MatMul(half, Q_A_transposed)",
        new="V = MatMul(half, Q_A)",
        tests=ENGINES,
        only=ORT_GPT2,
    ),
    Breakage(
        name="ort: the first layer's damping for all",
        file=f"{ORT}/preconditioning.py",
        old="np.array([factors.damping(damping_factor)])",
        new="np.array([self._factors[0].damping(damping_factor)])",
        tests=ENGINES,
        only=ORT_GPT2,
    ),
    Breakage(
        name="ort: labels not shifted",
        file=f"{ORT}/engine.py",
        old="LABELS: token_ids[:, 1:]",
        new="LABELS: token_ids[:, :-1]",
        tests=ENGINES,
        only=ORT_GPT2,
    ),
    Breakage(
        name="ort: the parts of a cut batch put back in order of length",
        file=f"{ORT}/engine.py",
        old="                scores[:, part] = scored",
        new="                scores[:, sorted(part)] = scored",
        tests="tests/engines",
        only="cut_to_its_memory",
    ),
    Breakage(
        name="ort: a provider that does not load replaced without a word",
        file=f"{ORT}/sessions.py",
        old="if not self._options.fallback:",
        new="if False:",
        tests="tests/engines",
        only="does_not_load",
    ),
    Breakage(
        name="the gradient stored with its sides exchanged",
        file="backends/whence_backends/ekfac/storage.py",
        old="library.product(right, left)",
        new="library.product(left, right)",
        tests="tests/laws/test_truncation.py",
        only="no_bound",
    ),
    Breakage(
        name="export: tokens see what comes after them",
        file="backends/whence_backends/export/graph.py",
        old="allowed = position.unsqueeze(0) <= position.unsqueeze(1)",
        new="allowed = position.unsqueeze(0) > -position.unsqueeze(1)",
        tests="tests/export",
        only="how_far",
    ),
    Breakage(
        name="export: a second use in the place of the first",
        file="backends/whence_backends/export/graph.py",
        old="        layer.inputs.append(a)\n        layer.probes.append(probe)\n",
        new="        layer.inputs[:], layer.probes[:] = [a], [probe]\n",
        tests="tests/export",
        only="used_twice",
    ),
    Breakage(
        name="export: the probability of the label left out of its own gradient",
        file="backends/whence_backends/export/graph.py",
        old="(head.weight[labels] - expected)",
        new="(-expected)",
        tests="tests/export",
        only="autograds",
    ),
)
