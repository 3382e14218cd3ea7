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
        new="*()",
        tests="tests/frontend/test_fairness.py",
    ),
    Breakage(
        name="searches of an index in order of arrival, whoever's they are",
        file="backends/whence_backends/worker/searching/search_queue.py",
        old="in_turn = sorted(left, key=lambda search: search.tenant == chosen[0].tenant)",
        new="in_turn = left",
        tests="tests/worker/searching/test_search_queue.py",
    ),
    Breakage(
        name="calls that are let wait, however long it will take",
        file="service/whence_service/rpc/admission.py",
        old="if math.isinf(self.max_wait_s):",
        new="if True:",
        tests="tests/rpc/test_admission.py",
        only="would_wait",
    ),
    Breakage(
        name="a tenant's wait thought to be that of all who wait",
        file="service/whence_service/rpc/fair_queue.py",
        old="min(count, own + 1) for count in others",
        new="count for count in others",
        tests="tests/load/test_policy.py",
        only="gets_half",
    ),
    Breakage(
        name="a limit that counts what another one refuses",
        file="service/whence_service/quotas/counters.py",
        old="                await self.give_back(demands[:number])\n",
        new="",
        tests="tests/quotas/test_quotas.py",
    ),
    Breakage(
        name="a scan that pays for what its filter left out",
        file="service/whence_service/quotas/quotas.py",
        old="min(self._scored, self.sequences)",
        new="self.sequences",
        tests="tests/quotas/test_quotas.py",
    ),
    Breakage(
        name="calls that are refused by the queue, and paid for",
        file="service/whence_service/quotas/quotas.py",
        old='"calls": 0 if charge.begun else 1',
        new='"calls": 0',
        tests="tests/quotas/test_quotas.py",
    ),
    Breakage(
        name="quotas that fail where Redis does",
        file="service/whence_service/quotas/counters.py",
        old="            except Exception as error:\n                self._breaker.failed()",
        new="            except ZeroDivisionError as error:\n                self._breaker.failed()",
        tests="tests/quotas/test_quotas.py",
        only="without_redis",
    ),
    Breakage(
        name="scans that cost nothing",
        file="service/whence_service/frontend/calls/cost.py",
        old="                return corpus\n",
        new="                return 0\n",
        tests="tests/frontend/test_quotas.py",
    ),
    Breakage(
        name="a client that waits for a quota until its deadline",
        file="clients/python/whence/_retries.py",
        old="error.retry_after_s > LONGEST_WAIT_FOR_QUOTA_S",
        new="False",
        tests="tests/client/test_channel.py",
        only="nothing_else",
    ),
)
