"""Of who may do what."""

from __future__ import annotations

from breakage import FRONT, Breakage

ACCESS, INTERCEPTORS = "service/whence_service/access", "service/whence_service/rpc/interceptors.py"

_IDENTIFY = "identity.enter(await self._gate.identify(path, context))"
_RECEIVE = "request = await receive(arriving, context)"

BREAKAGES = (
    Breakage(
        name="a method without a scope that anyone may call",
        file=f"{ACCESS}/permissions.py",
        old="if scope is None:",
        new="if scope is None and path:\n        return\n    if scope is None:",
        tests="tests/access/test_matrix.py",
        only="without_a_scope",
    ),
    Breakage(
        name="a request that is read before its caller is known",
        file=INTERCEPTORS,
        old=f"{_IDENTIFY}\n            {_RECEIVE}",
        new=f"{_RECEIVE}\n            {_IDENTIFY}",
        tests="tests/access/test_matrix.py",
        only="not_read",
    ),
    Breakage(
        name="an API key with an unknown id that is refused without a hash",
        file=f"{ACCESS}/keys.py",
        old="    key = keys.get(key_id, _DECOY)",
        new="    if key_id not in keys:\n        raise invalid(_KIND)\n    key = keys[key_id]",
        tests="tests/access/test_keys.py",
        only="constant_time",
    ),
    Breakage(
        name="a revoked API key that is accepted",
        file=f"{ACCESS}/keys.py",
        old="or key is _DECOY or key.revoked_at is not None",
        new="or key is _DECOY",
        tests="tests/access/test_matrix.py",
        only="revoked",
    ),
    Breakage(
        name="a token that chooses its own algorithm",
        file=f"{ACCESS}/tokens.py",
        old="algorithms=list(algorithms),",
        new='algorithms=[jwt.get_unverified_header(token)["alg"]],',
        tests="tests/access/test_tokens.py",
    ),
    Breakage(
        name="a token for another audience that is accepted",
        file=f"{ACCESS}/tokens.py",
        old='options={"require": list(_REQUIRED)},',
        new='options={"require": list(_REQUIRED), "verify_aud": False},',
        tests="tests/access/test_tokens.py",
    ),
    Breakage(
        name="invented ids of keys that make the server ask the issuer each time",
        file=f"{ACCESS}/signing_keys.py",
        old="due_s = REFRESH_S if known and not self._failed else LEAST_INTERVAL_S",
        new="due_s = REFRESH_S if known else 0.0",
        tests="tests/access/test_signing_keys.py",
    ),
    Breakage(
        name="metadata of training sequences for those who may not read texts",
        file=f"{ACCESS}/texts.py",
        old='"token_count", "token_offsets"}',
        new='"token_count", "token_offsets", "metadata"}',
        tests="tests/access/test_texts.py",
    ),
    Breakage(
        name="texts in the answers of a stream",
        file=INTERCEPTORS,
        old="yield self._release(response)",
        new="yield response",
        tests="tests/access/test_texts.py",
    ),
    Breakage(
        name="filters by metadata for those who may not read it",
        file=f"{FRONT}/request/permissions.py",
        old="if others:",
        new="if False:",
        tests="tests/access/test_texts.py",
    ),
    Breakage(
        name="models of other tenants in lists",
        file=f"{FRONT}/servicer.py",
        old="return list_models(self._pool.visible,",
        new="return list_models(self._pool.placement,",
        tests="tests/access/test_models.py",
    ),
    Breakage(
        name="models of other tenants that answer",
        file=f"{FRONT}/servicer.py",
        old="generation = self._pool.visible.choose(",
        new="generation = self._pool.placement.choose(",
        tests="tests/access/test_models.py",
    ),
    Breakage(
        name="a stream that outlives its credentials",
        file=INTERCEPTORS,
        old="expiry.until(current_identity().expires_at, complete)",
        new="expiry.until(None, complete)",
        tests="tests/access/test_streams.py",
    ),
    Breakage(
        name="a certificate that outlives its end on an open connection",
        file=f"{ACCESS}/certificates.py",
        old="if expires_at <= time.time():",
        new="if False:",
        tests="tests/access/test_certificates.py",
    ),
)
