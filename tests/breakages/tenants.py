"""Of what keeps tenants from each other's way: turns, places and quotas."""

from __future__ import annotations

from breakage import FRONT, Breakage

BREAKAGES = (
    Breakage(
        name="one tenant's calls in every slot",
        file="service/whence_service/rpc/admission.py",
        old="if not tenant or not self._held[tenant]:",
        new="if True:",
        tests="tests/frontend/test_fairness.py",
        only="sixteen",
    ),
    Breakage(
        name="a full queue that is one tenant's",
        file="service/whence_service/rpc/admission.py",
        old="displaced = self._waiting.displace(tenant)",
        new="displaced = None",
        tests="tests/rpc/test_admission.py",
    ),
    Breakage(
        name="turns in order of arrival, whoever's they are",
        file="service/whence_service/rpc/fair_queue.py",
        old="key=lambda name: (self._start(name), self._items[name][0][0])",
        new="key=lambda name: self._items[name][0][0]",
        tests="tests/worker/runtime/test_engine_thread.py",
        only="tenants",
    ),
    Breakage(
        name="debts of times when nobody else was there",
        file="service/whence_service/rpc/fair_queue.py",
        old="return max(self._level, self._used.get(tenant, 0.0))",
        new="return self._used.get(tenant, 0.0)",
        tests="tests/rpc/test_fair_queue.py",
    ),
    Breakage(
        name="workers that are not told whose call it is",
        file=f"{FRONT}/workers/client.py",
        old="*tenants.to_metadata(current_identity().tenant)",
        new="",
        tests="tests/frontend/test_fairness.py",
    ),
)
