"""What index tests share."""

from __future__ import annotations

import pytest

from index.indexed import Subject, make_subject


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("index-subject"))
