"""Of the page's process and the API over HTTP."""

from __future__ import annotations

from breakage import Breakage

EXPLORE = "clients/python/whence/explore"

BREAKAGES = (
    Breakage(
        name="http: any name that leads here is one of the page's",
        file=f"{EXPLORE}/access.py",
        old="            return host in self._names\n",
        new="            return True\n",
        tests="tests/explore/test_access.py",
        only="rebinding",
    ),
    Breakage(
        name="http: a page of another origin may ask",
        file=f"{EXPLORE}/access.py",
        old="        if not _is_of_the_page(method, headers):\n",
        new="        if False:\n",
        tests="tests/explore/test_access.py",
        only="another_origin",
    ),
    Breakage(
        name="http: the user's token lent to other machines",
        file=f"{EXPLORE}/identities.py",
        old="    if server.token is not None:\n",
        new="    if False:\n",
        tests="tests/explore/test_access.py",
        only="lends_nobody",
    ),
    Breakage(
        name="http: a server that asks nobody, opened to other machines",
        file=f"{EXPLORE}/identities.py",
        old="        if not asks:\n",
        new="        if False:\n",
        tests="tests/explore/test_access.py",
        only="asks_nobody or comes_later",
    ),
    Breakage(
        name="http: the process's key before that of the caller",
        file=f"{EXPLORE}/upstream.py",
        old="        if not authorization:\n",
        new="        if server.token is not None:\n",
        tests="tests/explore/test_access.py",
        only="callers_key",
    ),
    Breakage(
        name="http: two lengths of one body",
        file=f"{EXPLORE}/access.py",
        old='        if "transfer-encoding" in headers and "content-length" in headers:\n',
        new="        if False:\n",
        tests="tests/explore/test_hostile.py",
        only="read_in_two_ways",
    ),
    Breakage(
        name="http: a body without an end is read",
        file=f"{EXPLORE}/api/bodies.py",
        old="        if len(body) > max_bytes:\n",
        new="        if False:\n",
        tests="tests/explore/test_hostile.py",
        only="without_a_length",
    ),
    Breakage(
        name="http: a caller who leaves is worked for",
        file=f"{EXPLORE}/api/streaming.py",
        old="        if not task.done():\n",
        new="        if not await asyncio.wait((task,)):\n",
        tests="tests/explore/test_streaming.py",
        only="leaves",
    ),
    Breakage(
        name="http: a status without its details",
        file=f"{EXPLORE}/api/statuses.py",
        old="    details = [_detail(packed) for packed in status.details]\n",
        new="    details = [_detail(packed) for packed in status.details[:1]]\n",
        tests="tests/explore/test_conformance.py",
        only="Attribute",
    ),
    Breakage(
        name="http: fields that have no presence left out",
        file=f"{EXPLORE}/api/transcoding.py",
        old="always_print_fields_with_no_presence=True",
        new="always_print_fields_with_no_presence=False",
        tests="tests/explore/test_conformance.py",
        only="every_field or ListModels",
    ),
    Breakage(
        name="http: a response without the policy",
        file=f"{EXPLORE}/server.py",
        old="SecurityHeaders(AccessGuard(app, settings))",
        new="AccessGuard(app, settings)",
        tests="tests/explore/test_headers.py",
        only="has_the_policy",
    ),
    Breakage(
        name="page: a text that is read as HTML",
        file="clients/python/whence/explore/page/lib/dom.js",
        old="  element.append(",
        new='  if (typeof children[0] === "string") element.innerHTML = children.shift();\n  element.append(',
        tests="tests/page/test_hostile.py",
        only="hostile_corpus",
    ),
    Breakage(
        name="page: a ranking without the line where noise begins",
        file="clients/python/whence/explore/page/parts/ranking.js",
        old="i === edge && noiseEdge(edge)",
        new="i === hits.length && noiseEdge(edge)",
        tests="tests/page/test_views.py",
        only="noise_begins",
    ),
    Breakage(
        name="page: a form that is sent and not asked",
        file="clients/python/whence/explore/page/parts/asker.js",
        old="edit: null",
        new='edit: "1"',
        tests="tests/page/test_asking.py",
        only="keyboard",
    ),
)
