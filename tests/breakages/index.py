"""Of the gradient index."""

from __future__ import annotations

from breakage import INDEX, Breakage

BREAKAGES = (
    Breakage(
        name="sketches whitened by Λ + λ, not by its root",
        file=f"{INDEX}/plan.py",
        old="/ np.sqrt(damped[indices[places]])",
        new="/ damped[indices[places]]",
        tests="tests/index/test_plan.py",
    ),
    Breakage(
        name="another damping that reweights by the root",
        file=f"{INDEX}/sketch.py",
        old="ratio = (kept + damping(mean, plan.damping_factor)) / (kept + damping(mean, damping_factor))",
        new="ratio = np.sqrt((kept + damping(mean, plan.damping_factor)) / (kept + damping(mean, damping_factor)))",
        tests="tests/index/test_plan.py",
    ),
    Breakage(
        name="one bit with ‖x‖₁ / k as its scale",
        file=f"{INDEX}/codes.py",
        old="scales = np.divide(np.square(sizes).sum(axis=1), sums, out=np.zeros_like(sums), where=sums > 0)",
        new="scales = sizes.mean(axis=1)",
        tests="tests/index/test_codes.py",
    ),
    Breakage(
        name="planes of a query weighed wrongly",
        file=f"{INDEX}/kernel.py",
        old="(count_2 << _2)",
        new="(count_2 << _1)",
        tests="tests/index/test_search.py",
    ),
    Breakage(
        name="an unfinished shard begun anew under rows that count as done",
        file=f"{INDEX}/job.py",
        old="arrays = _open_rows(work, shard, fresh=start == 0)",
        new="arrays = _open_rows(work, shard, fresh=True)",
        tests="tests/index/test_job.py",
        only="killed or stopped",
    ),
    Breakage(
        name="a tie that goes to the higher position",
        file="backends/whence_backends/topk.py",
        old="np.lexsort((all_positions, all_keys))",
        new="np.lexsort((-all_positions, all_keys))",
        tests="tests/test_topk.py",
    ),
    Breakage(
        name="sums of a long segment in sixteen bits",
        file=f"{INDEX}/batch_kernel.py",
        old="_WORDS: Final = 64",
        new="_WORDS: Final = 256",
        tests="tests/index/test_search.py",
    ),
    Breakage(
        name="even rows' sums with the odd ones' in them",
        file=f"{INDEX}/batch_kernel.py",
        old="even = builder.sub(added[2 * query], builder.shl(odd, eight_bits))",
        new="even = added[2 * query]",
        tests="tests/index/test_search.py",
    ),
    Breakage(
        name="values without their bit that add nothing",
        file=f"{INDEX}/batch_kernel.py",
        old="level if choice >> place & 1 else 15 - level",
        new="level if choice >> place & 1 else 0",
        tests="tests/index/test_search.py",
    ),
    Breakage(
        name="known rows' estimates learned from themselves",
        file=f"{INDEX}/refine.py",
        old="estimates=_narrow(influences - fit.mistakes)",
        new="estimates=_narrow(values @ refined)",
        tests="tests/index/test_refine.py",
    ),
    Breakage(
        name="a refinement that believes the scale of estimates",
        file=f"{INDEX}/refine.py",
        old="_best_fit(gram, estimates / size, influences)",
        new="_best_fit(gram, estimates, influences)",
        tests="tests/index/test_refine.py",
    ),
    Breakage(
        name="a refinement that reaches into other layers",
        file=f"{INDEX}/refine.py",
        old="values[:, segment.start : segment.stop] = 0",
        new="pass",
        tests="tests/index/test_refine.py",
    ),
    Breakage(
        name="search with torch: bits in another order",
        file=f"{INDEX}/device_search.py",
        old="bits = (codes.unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8, device=codes.device)) & 1",
        new="bits = (codes.unsqueeze(-1) >> torch.arange(7, -1, -1, dtype=torch.uint8, device=codes.device)) & 1",
        tests="tests/index/test_device_search.py",
    ),
)
