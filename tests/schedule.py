"""Which tests run side by side where pytest-xdist runs several at once, and which begin first.

What shares processes or artefacts stays in one process: the end-to-end tests, the conformance suite, what fuzzes, and
each other file by itself. What takes longest begins first, so that no process is left alone with it at the end.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

FOLDERS = ("tests/e2e/", "tests/conformance/", "tests/fuzz/")
# Files of those folders that share nothing costly with the rest.
APART = ("tests/e2e/test_real_model.py", "tests/e2e/test_ort_worker.py", "tests/e2e/test_rollout.py")
FIRST = (
    "tests/e2e/",
    *APART,
    "tests/conformance/",
    "tests/export/test_export.py",
    "tests/export/test_architectures.py",
)


def group_of(test: str) -> str:
    """Return the file of a test, or the folder where its files share what they run on."""
    file = test.partition("::")[0]
    shared = [folder for folder in FOLDERS if file.startswith(folder) and file not in APART]
    return shared[0] if shared else file


def turn_of(test: str) -> int:
    """Return the priority of a test's group: lower numbers begin earlier."""
    group = group_of(test)
    return FIRST.index(group) if group in FIRST else len(FIRST)


class GroupScheduling(LoadScopeScheduling):
    """Hands out whole groups, in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
